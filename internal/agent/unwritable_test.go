package agent_test

func unwritableChild(string) int { return 0 }
