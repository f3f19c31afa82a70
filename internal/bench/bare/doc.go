// Package bare is gRPC over mutual TLS and nothing else: the same messages as the
// product's, the same certificates, but no store, no checks, no rules. It is what
// the benchmark holds the product against; it knows nothing of agent and collector.
package bare
