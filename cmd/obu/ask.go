package main

import (
	"context"
	"encoding/json"
	"fmt"

	"obu/internal/agent"
)

// ask puts one question to the running agent and decodes its answer.
func ask(ctx context.Context, socket, question string, answer any) error {
	body, err := agent.Ask(ctx, socket, question)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("read the agent's answer: %w (is it another version?)", err)
	}
	return nil
}
