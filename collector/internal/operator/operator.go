// Package operator keeps the people of the console: accounts, roles, sign-in and
// sessions. It knows nothing of incidents, endpoints or HTML.
package operator

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Role is what a person may do; the table of role × act is in package act.
type Role string

// The roles.
const (
	Owner       Role = "owner"       // 経営者
	Responsible Role = "responsible" // 責任者
	Handler     Role = "handler"     // 担当者
	Viewer      Role = "viewer"      // 閲覧者
	Auditor     Role = "auditor"     // 監査者
	Vendor      Role = "vendor"      // 外部専門家
)

// Roles returns all roles.
func Roles() []Role { return []Role{Owner, Responsible, Handler, Viewer, Auditor, Vendor} }

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

// Operator is one person at the console.
type Operator struct {
	ID                 string
	OrganisationID     string
	Name               string // for signing in; unique within the collector
	DisplayName        string
	Role               Role
	MustChangePassword bool
	DisabledAt         time.Time // zero while active
	CreatedAt          time.Time
	LastSignInAt       time.Time // zero before the first
	Address            string    // mail address for notices; empty: none was given
	FactorSince        time.Time // since when a second factor is asked for; zero: it is not
}

// Limits of what people type.
const (
	MaxName        = 64
	MaxDisplayName = 128 // bytes
	MinPassword    = 10  // characters
	MaxPassword    = 256 // bytes
)

// The errors that callers act on.
var (
	ErrNotFound = errors.New("no such operator")
	ErrNameUsed = errors.New("the name is in use")
)

// CheckName reports why name can't be a sign-in name, or nil.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("want 1 to %d characters", MaxName)
	}
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '.' && c != '_' && c != '-') {
			return errors.New("want a-z, 0-9 and, after the first, '.', '_', '-'")
		}
	}
	return nil
}
