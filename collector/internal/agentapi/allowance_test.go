package agentapi_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"hozen/collector/internal/evidence"
	"hozen/internal/id"
	agentv1 "hozen/proto/hozen/agent/v1"
)

// TestAnAllowanceThatIsUsedUpMeansLater: the agent keeps its evidence and comes again.
func TestAnAllowanceThatIsUsedUpMeansLater(t *testing.T) {
	r := newRig(t, nil)
	a := r.dial(t, time.Now())
	for err, says := range map[error]string{
		fmt.Errorf("%w: more", evidence.ErrAllowance):           "within a day: more",
		errors.Join(evidence.ErrNoSpace, evidence.ErrAllowance): "the collector's disk is full",
	} {
		r.mu.Lock()
		r.sealErr = err
		r.mu.Unlock()
		up, err := a.Upload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []*agentv1.UploadRequest{
			{Step: &agentv1.UploadRequest_Begin{Begin: &agentv1.UploadBegin{AcquisitionId: id.New(id.Acquisition)}}},
			{Step: &agentv1.UploadRequest_Seal{Seal: &agentv1.Seal{Manifest: []byte("{}"), Signature: []byte("s"), Certificate: []byte("c")}}},
		} {
			if err := up.Send(m); err != nil {
				t.Fatal(err)
			}
		}
		_, err = up.CloseAndRecv()
		if wantCode(t, says, err, codes.ResourceExhausted); !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}
