package isolate

import "time"

// Ended is how an isolation ended without an order.
type Ended struct {
	// CommandID is the order that ended. Saying it again does not isolate again.
	CommandID string `json:"command_id"`
	// How is why, At the agent's wall clock when.
	How Kind      `json:"how"`
	At  time.Time `json:"at"`
	// By is who at the endpoint did it, where somebody did.
	By string `json:"by,omitempty"`
}
