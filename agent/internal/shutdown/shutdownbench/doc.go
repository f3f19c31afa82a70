// Command shutdownbench is the agent's side of what is measured of going down: the real
// login client, plan, runner, probes and spool, put together as the agent does. It is run
// by hozen-bench, which cannot import them, plays the login service, and does the
// arithmetic; it is not shipped. It knows nothing of bars.
//
// Usage, each until its standard input ends:
//
//	shutdownbench plan -bus ADDRESS -dir FOLDER   one JSON object a turn, the first when the lock is held
//	shutdownbench scene -dir FOLDER               holds processes and sockets
//	shutdownbench recorder -dir FOLDER            the flight recorder, by the lines "on" and "off"
package main
