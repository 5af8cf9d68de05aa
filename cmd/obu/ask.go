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
	return decodeAnswer(body, answer)
}

func decodeAnswer(body []byte, answer any) error {
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("read the agent's answer: %w (is it another version?)", err)
	}
	return nil
}

// askEach calls fn for everything the running agent holds, page by page: the
// question is verb, "ls" or "export". fn returns the seq of what it was given.
func askEach[T any](ctx context.Context, socket, verb string, fn func(T) (seq uint64, err error)) error {
	var s agent.Status
	if err := ask(ctx, socket, "status", &s); err != nil {
		return err
	}
	for _, t := range s.Streams {
		for from := t.Floor; from < t.Next; { // what came since is not asked for, or this would not end
			var page []T
			if err := ask(ctx, socket, fmt.Sprintf("%s %s %s %d", verb, t.Store, t.Class, from), &page); err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			for _, row := range page {
				seq, err := fn(row)
				if err != nil {
					return err
				}
				from = seq + 1
			}
		}
	}
	return nil
}
