// Package agentv1 is the wire between agents and their collector, generated from the
// .proto files beside it; what each message means and its limits stand there. Only
// agent/internal/uplink and collector/internal/agentapi may know it.
package agentv1
