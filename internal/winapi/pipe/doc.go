// Package pipe speaks over local named pipes of Windows as over a [net.Conn], and says
// who is at the other end. It knows nothing of what is said.
//
// A pipe is used without overlapped operations, which not every Windows API that we run
// on has for pipes (Wine). Nothing blocks but the wait for the next client: reading looks
// first whether there is something (PeekNamedPipe), writing leaves what has no room
// (PIPE_NOWAIT) and tries again, so that deadlines and closing are kept.
package pipe

// Client is who is at the other end of a connection, as Windows said when it was made.
type Client struct {
	PID     uint32
	Session uint32
	// SID is the account, as S-1-…; empty where Windows does not tell.
	SID string
	// Admin says that the client acts with the rights of an administrator or of the system.
	Admin bool
}
