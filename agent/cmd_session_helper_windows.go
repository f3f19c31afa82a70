package main

import (
	"context"

	"hozen/agent/internal/shutdown"
	"hozen/internal/winapi/endsession"
)

// awaitEndOfSession calls told as the first program of this session when that ends.
func awaitEndOfSession(ctx context.Context, told func(ending string)) error {
	return endsession.Run(ctx, inBoth(shutdown.TellCapturing), func(e endsession.Ending) { told(string(e)) })
}
