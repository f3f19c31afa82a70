package main

import (
	"context"

	"hozen/internal/winapi/endsession"
)

// awaitEndOfSession calls told as the first program of this session when that ends.
func awaitEndOfSession(ctx context.Context, told func(ending string)) error {
	return endsession.Run(ctx, func(e endsession.Ending) { told(string(e)) })
}
