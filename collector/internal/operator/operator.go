// Package operator keeps the people of the console: accounts, roles, sign-in and
// sessions. It knows nothing of incidents, endpoints or HTML.
package operator

import "time"

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
}
