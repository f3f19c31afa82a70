package localapi

import (
	"context"
	"io"
)

// verbs is the table of everything that can be asked. Names are stable: scripts and
// older commands use them.
func verbs() map[string]verb {
	signIn := ask(signIn)
	signIn.open = true
	status := ask(status)
	status.open = true
	return map[string]verb{
		"status":         status,
		"session.begin":  signIn,
		"session.end":    ask(signOut),
		"session.whoami": ask(whoAmI),

		"operator.list":           ask(operatorList),
		"operator.add":            ask(operatorAdd),
		"operator.reset_password": ask(operatorReset),
		"operator.reset_factor":   ask(operatorResetFactor),
		"operator.disable":        ask(operatorDisable),

		"token.list":   ask(tokenList),
		"token.create": ask(tokenCreate),
		"token.revoke": ask(tokenRevoke),

		"api_token.create": ask(apiTokenCreate),
		"api_token.list":   ask(apiTokenList),
		"api_token.revoke": ask(apiTokenEnd),

		"endpoint.list":    ask(endpointList),
		"endpoint.show":    ask(endpointShow),
		"endpoint.pending": ask(endpointPending),
		"endpoint.approve": ask(endpointApprove),
		"endpoint.reject":  ask(endpointReject),
		"endpoint.revoke":  ask(endpointRevoke),
		"endpoint.label":   ask(endpointLabel),
		"endpoint.gate":    ask(endpointGate),
		"endpoint.boots":   ask(endpointBoots),
		"endpoint.place":   ask(endpointPlace),

		"endpoint.release_code":     ask(endpointReleaseCode),
		"endpoint.release_refuse":   ask(endpointReleaseRefuse),
		"endpoint.isolation_events": ask(endpointIsolationEvents),

		"group.preview": ask(groupPreview),
		"group.order":   ask(groupOrder),
		"group.list":    ask(groupList),
		"group.show":    ask(groupShow),

		"isolation.settings": ask(isolationSettings),
		"isolation.settle":   ask(isolationSettle),

		"command.order":    ask(commandOrder),
		"command.list":     ask(commandList),
		"command.withdraw": ask(commandWithdraw),
		"command.wait":     follow(commandWait),

		"incident.list":  ask(incidentList),
		"incident.show":  ask(incidentShow),
		"incident.open":  ask(incidentOpen),
		"incident.note":  ask(incidentNote),
		"incident.close": ask(incidentClose),

		"acquisition.list":  ask(acquisitionList),
		"acquisition.seal":  ask(acquisitionSeal),
		"acquisition.items": ask(acquisitionItems),
		"evidence.list":     ask(evidenceList),
		"evidence.show":     ask(evidenceShow),
		"evidence.get":      fetch(evidenceGet),

		"export.order": ask(exportOrder),
		"export.list":  ask(exportList),
		"export.show":  ask(exportShow),
		"export.write": pour(exportWrite),

		"custody.form":         pour(custodyForm),
		"custody.list":         ask(custodyList),
		"custody.show":         ask(custodyShow),
		"custody.add":          ask(custodyAdd),
		"custody.describe":     ask(custodyDescribe),
		"custody.record":       ask(custodyRecord),
		"custody.verify":       ask(custodyVerify),
		"custody.hold":         ask(custodyHold),
		"custody.release_hold": ask(custodyReleaseHold),
		"custody.retention":    ask(custodyRetention),
		"custody.disposal":     ask(custodyDisposal),
		"custody.dispose":      ask(custodyDispose),
		"kit.build":            ask(kitBuild),
		"kit.import":           take(kitImport),

		"ledger.list":        ask(ledgerList),
		"ledger.checkpoint":  ask(ledgerCheckpoint),
		"ledger.prove":       ask(ledgerProve),
		"ledger.consistency": ask(ledgerConsistency),
		"ledger.fork":        ask(ledgerFork),
		"ledger.timestamp":   ask(ledgerTimestamp),
		"ledger.timestamps":  ask(ledgerTimestamps),
		"ledger.cosign":      ask(ledgerCosign),
		"ledger.export":      follow(ledgerExport),
		"fsck":               follow(check),
		"backup":             follow(backUp),
	}
}

// ask is a verb with one answer.
func ask[T any](fn func(ctx context.Context, c *call, in T) (any, error)) verb {
	return verb{answer: func(ctx context.Context, c *call) (any, error) {
		var in T
		if err := c.decode(&in); err != nil {
			return nil, err
		}
		return fn(ctx, c, in)
	}}
}

// follow is a verb that tells how it goes on.
func follow[T any](fn func(ctx context.Context, c *call, in T, emit func(any) error) (any, error)) verb {
	return verb{stream: func(ctx context.Context, c *call, emit func(any) error) (any, error) {
		var in T
		if err := c.decode(&in); err != nil {
			return nil, err
		}
		return fn(ctx, c, in, emit)
	}}
}

// fetch is a verb that answers with bytes.
func fetch[T any](fn func(ctx context.Context, c *call, in T) (io.ReadCloser, error)) verb {
	return verb{bytes: func(ctx context.Context, c *call) (io.ReadCloser, error) {
		var in T
		if err := c.decode(&in); err != nil {
			return nil, err
		}
		return fn(ctx, c, in)
	}}
}

// pour is a verb that writes bytes as it makes them.
func pour[T any](fn func(ctx context.Context, c *call, in T, w io.Writer) error) verb {
	return verb{pour: func(ctx context.Context, c *call, w io.Writer) error {
		var in T
		if err := c.decode(&in); err != nil {
			return err
		}
		return fn(ctx, c, in, w)
	}}
}

// None is the request or answer that says nothing.
type None struct{}

// views turns a list into what goes over the socket, never null.
func views[T, V any](list []T, view func(T) V) []V {
	out := make([]V, 0, len(list))
	for _, v := range list {
		out = append(out, view(v))
	}
	return out
}
