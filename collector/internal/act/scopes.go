package act

import (
	"fmt"
	"slices"
)

// Scope is one thing that a token may be for.
type Scope string

// The scopes. A token can do what both its scopes and its maker's role allow.
const (
	ScopeRead     Scope = "read"     // incidents, endpoints, what evidence there is, orders, the watch, the ledger's signed state
	ScopeEvidence Scope = "evidence" // the bytes of evidence, which are personal data
	ScopeRecord   Scope = "record"   // open incidents, write into timelines
	ScopeAcquire  Scope = "acquire"  // order evidence to be taken
	ScopeIsolate  Scope = "isolate"  // order networks to be cut
	ScopeRelease  Scope = "release"  // ask for networks to be given back
)

// Scopes returns all scopes, the harmless first.
func Scopes() []Scope {
	return []Scope{ScopeRead, ScopeEvidence, ScopeRecord, ScopeAcquire, ScopeIsolate, ScopeRelease}
}

// Valid reports whether s is one of the scopes.
func (s Scope) Valid() bool { return slices.Contains(Scopes(), s) }

// scopeTable is scope × permission. What stands in no scope, no token can do: people, settings,
// disposal, documents, and the words of decisions and of customers' enquiries.
func scopeTable() map[Scope][]permission {
	return map[Scope][]permission{
		ScopeRead:     {mayLook, mayWatch, mayReadLedger},
		ScopeEvidence: {mayOpenEvidence},
		ScopeRecord:   {mayNote, mayRunIncident},
		ScopeAcquire:  {mayAcquire},
		ScopeIsolate:  {mayIsolate},
		ScopeRelease:  {mayRelease},
	}
}

// scopes are what a token is for; nil: there is no token, and a person acts.
type scopes []Scope

// may reports whether the actor's role allows something and, where a program acts by a
// token, whether that is for it.
func (a Actor) may(p permission) bool {
	if !permitted(a.Role, p) {
		return false
	}
	if a.token == "" {
		return true
	}
	table := scopeTable()
	return slices.ContainsFunc(a.scope, func(s Scope) bool { return slices.Contains(table[s], p) })
}

// person refuses a program: what it asks for is not done one at a time, or is a person's to
// say, whatever the scopes.
func (a Actor) person() error {
	if a.token != "" {
		return fmt.Errorf("%w: a person has to do that", ErrScope)
	}
	return nil
}

// Usable reports whether the person behind an actor could do anything with a scope.
func (s Scope) Usable(a Actor) bool {
	return slices.ContainsFunc(scopeTable()[s], func(p permission) bool { return permitted(a.Role, p) })
}
