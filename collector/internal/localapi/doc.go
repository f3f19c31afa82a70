// Package localapi is the collector's local socket: HTTP and JSON over a Unix socket,
// for the program's own commands. It decides who speaks and calls the acts; it knows
// nothing of SQL, gRPC or HTML, and the client part nothing of the acts' insides.
//
// Every call is POST /v1/<verb> with a JSON object. The answer is a JSON object, a
// stream of them (one per line, the last with "result" or "error"), or bytes. Who
// speaks is shown by "Authorization: Bearer <token>" from session.begin, or by
// "Hozen-Break-Glass: <reason>" when the socket's peer is root or the collector's own
// user. The socket's permissions decide who can speak at all. On Windows a named pipe stands
// for the socket, and an administrator for root.
package localapi
