package uplink_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hozen/agent/internal/uplink"
	"hozen/internal/id"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
)

func TestEnroll(t *testing.T) {
	c, foreign := newCollector(t), newCollector(t)
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cfg := func() uplink.EnrollConfig {
		return uplink.EnrollConfig{
			Token: pki.Token{Addresses: []string{"127.0.0.1:1", c.addr}, CASHA256: c.ca.Fingerprint(), Secret: "0123456789abcdef"},
			Key:   key, Host: uplink.Host{Hostname: "pc", OS: "linux", Arch: "amd64"}, Now: time.Now,
		}
	}
	endpointID := id.New(id.Endpoint)
	issue := func(by *collector, name string, forKey *pki.CA) *agentv1.EnrollResponse {
		der, _, err := by.ca.IssueAgent(name, key.Public(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return &agentv1.EnrollResponse{Result: &agentv1.EnrollResponse_Issued{Issued: &agentv1.Issued{EndpointId: endpointID, Certificate: der, CaCertificate: forKey.Certificate().Raw}}}
	}
	asked := 0
	c.enrol = func(m *agentv1.EnrollRequest) (*agentv1.EnrollResponse, error) {
		if asked++; asked == 1 {
			return &agentv1.EnrollResponse{Result: &agentv1.EnrollResponse_Pending{Pending: &agentv1.Pending{Code: "4F7K-92QM", RetryAfterSeconds: 1}}}, nil
		}
		if m.GetToken() != "0123456789abcdef" {
			return nil, status.Error(codes.PermissionDenied, "no such token")
		}
		return issue(c, endpointID, c.ca), nil
	}
	asUsual := c.enrol
	waiting := cfg()
	var codesShown []string
	waiting.Pending = func(code string) { codesShown = append(codesShown, code) }
	e, err := uplink.Enroll(context.Background(), waiting)
	if err != nil || e.EndpointID != endpointID || len(e.Collectors) != 2 || len(codesShown) != 1 || codesShown[0] != "4F7K-92QM" {
		t.Fatal(e, codesShown, err)
	}

	for name, change := range map[string]struct {
		token func(*pki.Token)
		enrol func(*agentv1.EnrollRequest) (*agentv1.EnrollResponse, error)
		want  error
	}{
		"nobody there":      {token: func(k *pki.Token) { k.Addresses = []string{"127.0.0.1:1"} }, want: uplink.ErrUnreachable},
		"another collector": {token: func(k *pki.Token) { k.Addresses = []string{foreign.addr} }, want: uplink.ErrUnreachable},
		"spent token":       {token: func(k *pki.Token) { k.Secret = "fedcba9876543210" }, want: uplink.ErrNotAccepted},
		"another CA in return": {enrol: func(*agentv1.EnrollRequest) (*agentv1.EnrollResponse, error) {
			return issue(c, endpointID, foreign.ca), nil
		}, want: uplink.ErrNotAccepted},
		"another endpoint's certificate": {enrol: func(*agentv1.EnrollRequest) (*agentv1.EnrollResponse, error) {
			return issue(c, id.New(id.Endpoint), c.ca), nil
		}, want: uplink.ErrNotAccepted},
		"certificate of a foreign CA": {enrol: func(*agentv1.EnrollRequest) (*agentv1.EnrollResponse, error) {
			return issue(foreign, endpointID, c.ca), nil
		}},
		"empty answer": {enrol: func(*agentv1.EnrollRequest) (*agentv1.EnrollResponse, error) { return &agentv1.EnrollResponse{}, nil }},
	} {
		x := cfg()
		if change.token != nil {
			change.token(&x.Token)
		}
		c.enrol = asUsual
		if change.enrol != nil {
			c.enrol = change.enrol
		}
		_, err := uplink.Enroll(context.Background(), x)
		if err == nil || change.want != nil && !errors.Is(err, change.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
