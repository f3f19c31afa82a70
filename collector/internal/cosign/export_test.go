package cosign

import "context"

// Round looks once whether a checkpoint is to be shown.
func Round(ctx context.Context, c *Cosigner) error { return c.round(ctx) }

// Answer reads what a witness answers.
func Answer(status int, contentType, body string) (string, error) {
	return answer(status, contentType, body)
}
