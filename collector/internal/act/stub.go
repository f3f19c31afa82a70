package act

import (
	"context"
	"errors"
	"io"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/enroll"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
)

var _ time.Time

var errStub = errors.ErrUnsupported

// Acts is the one door to the collector's data.
type Acts struct{}

// SignIn checks a name and password; see below when written.
func (s *Acts) SignIn(ctx context.Context, name, password, remoteAddr string) (operator.Operator, error) {
	return operator.Operator{}, errStub
}
func (s *Acts) ChangePassword(ctx context.Context, a Actor, old, new string) error { return errStub }
func (s *Acts) OperatorByID(ctx context.Context, id string) (operator.Operator, error) {
	return operator.Operator{}, errStub
}
func (s *Acts) AddOperator(ctx context.Context, a Actor, n NewOperator) (op operator.Operator, oneTimePassword string, err error) {
	return operator.Operator{}, "", errStub
}
func (s *Acts) ResetPassword(ctx context.Context, a Actor, operatorID string) (oneTimePassword string, err error) {
	return "", errStub
}
func (s *Acts) DisableOperator(ctx context.Context, a Actor, operatorID string) error { return errStub }
func (s *Acts) Operators(ctx context.Context, a Actor) ([]operator.Operator, error) {
	return nil, errStub
}
func (s *Acts) MintToken(ctx context.Context, a Actor, n NewToken) (MintedToken, error) {
	return MintedToken{}, errStub
}
func (s *Acts) Tokens(ctx context.Context, a Actor) ([]enroll.Token, error)    { return nil, errStub }
func (s *Acts) RevokeToken(ctx context.Context, a Actor, tokenID string) error { return errStub }
func (s *Acts) EnrollmentRequests(ctx context.Context, a Actor) ([]enroll.Request, error) {
	return nil, errStub
}
func (s *Acts) ApproveEnrollment(ctx context.Context, a Actor, requestID string) error {
	return errStub
}
func (s *Acts) RejectEnrollment(ctx context.Context, a Actor, requestID, reason string) error {
	return errStub
}
func (s *Acts) Enroll(ctx context.Context, c EnrollCall) (EnrollReply, error) {
	return EnrollReply{}, errStub
}
func (s *Acts) Renew(ctx context.Context, endpointID, oldCertSerial string, csr []byte) (cert []byte, err error) {
	return nil, errStub
}
func (s *Acts) CertificateStatus(ctx context.Context, endpointID, serial string) error {
	return errStub
}
func (s *Acts) Endpoints(ctx context.Context, a Actor) ([]endpoint.Endpoint, error) {
	return nil, errStub
}
func (s *Acts) Endpoint(ctx context.Context, a Actor, id string) (endpoint.Endpoint, error) {
	return endpoint.Endpoint{}, errStub
}
func (s *Acts) LabelEndpoint(ctx context.Context, a Actor, id, label string) error { return errStub }
func (s *Acts) RevokeEndpoint(ctx context.Context, a Actor, id, reason string) error {
	return errStub
}
func (s *Acts) EndpointConnected(ctx context.Context, endpointID string, d endpoint.Description, remote string) error {
	return errStub
}
func (s *Acts) EndpointSeen(ctx context.Context, endpointID string, i endpoint.IsolationStatus) error {
	return errStub
}
func (s *Acts) EndpointDisconnected(ctx context.Context, endpointID string) error { return errStub }
func (s *Acts) EndpointIsolation(ctx context.Context, endpointID string, i endpoint.IsolationStatus) error {
	return errStub
}
func (s *Acts) Acquire(ctx context.Context, a Actor, endpointID string, o Order) (dispatch.Command, error) {
	return dispatch.Command{}, errStub
}
func (s *Acts) Isolate(ctx context.Context, a Actor, endpointID string, o Order) (dispatch.Command, error) {
	return dispatch.Command{}, errStub
}
func (s *Acts) Release(ctx context.Context, a Actor, endpointID string, o Order) (dispatch.Command, error) {
	return dispatch.Command{}, errStub
}
func (s *Acts) Commands(ctx context.Context, a Actor, f CommandFilter) ([]dispatch.Command, error) {
	return nil, errStub
}
func (s *Acts) Command(ctx context.Context, a Actor, id string) (dispatch.Command, error) {
	return dispatch.Command{}, errStub
}
func (s *Acts) Outstanding(ctx context.Context, endpointID string) ([]dispatch.Command, error) {
	return nil, errStub
}
func (s *Acts) CommandAcked(ctx context.Context, endpointID, commandID string) error { return errStub }
func (s *Acts) CommandFinished(ctx context.Context, endpointID string, r dispatch.Result, i *endpoint.IsolationStatus) error {
	return errStub
}
func (s *Acts) ReportTrouble(ctx context.Context, endpointID string, c AlertCall) (incident.Incident, error) {
	return incident.Incident{}, errStub
}
func (s *Acts) Incidents(ctx context.Context, a Actor) ([]incident.Incident, error) {
	return nil, errStub
}
func (s *Acts) Incident(ctx context.Context, a Actor, idOrNumber string) (incident.Incident, error) {
	return incident.Incident{}, errStub
}
func (s *Acts) OpenIncident(ctx context.Context, a Actor, n NewIncident) (incident.Incident, error) {
	return incident.Incident{}, errStub
}
func (s *Acts) Timeline(ctx context.Context, a Actor, incidentID string) ([]incident.Entry, error) {
	return nil, errStub
}
func (s *Acts) AddNote(ctx context.Context, a Actor, incidentID, text string) error { return errStub }
func (s *Acts) CloseIncident(ctx context.Context, a Actor, incidentID, reason string) error {
	return errStub
}
func (s *Acts) Acquisitions(ctx context.Context, a Actor, incidentID string) ([]evidence.Acquisition, error) {
	return nil, errStub
}
func (s *Acts) EndpointAcquisitions(ctx context.Context, a Actor, endpointID string) ([]evidence.Acquisition, error) {
	return nil, errStub
}
func (s *Acts) Evidence(ctx context.Context, a Actor, incidentID string) ([]evidence.Item, error) {
	return nil, errStub
}
func (s *Acts) EvidenceItem(ctx context.Context, a Actor, idOrNumber string) (evidence.Item, error) {
	return evidence.Item{}, errStub
}
func (s *Acts) OpenEvidence(ctx context.Context, a Actor, evidenceID string, p Purpose) (evidence.Item, io.ReadCloser, error) {
	return evidence.Item{}, nil, errStub
}
func (s *Acts) ManifestOf(ctx context.Context, a Actor, acquisitionID string) (manifest, sig []byte, err error) {
	return nil, nil, errStub
}
func (s *Acts) Backup(ctx context.Context, a Actor, dir string) error { return errStub }
