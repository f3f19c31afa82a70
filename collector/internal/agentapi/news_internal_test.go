package agentapi

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	agentv1 "hozen/proto/hozen/agent/v1"
)

// A heartbeat that says something else of the isolation is stored, so it waits as other
// news do; one that says the same waits for nothing.
func TestHeartbeatsThatChangeSomethingAreNews(t *testing.T) {
	beat := func(s agentv1.IsolationState, at time.Time) *agentv1.ConnectRequest {
		return &agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Heartbeat{Heartbeat: &agentv1.Heartbeat{
			Isolation: &agentv1.IsolationStatus{Observed: s, MeasuredAt: timestamppb.New(at)},
		}}}
	}
	released, isolated := agentv1.IsolationState_ISOLATION_STATE_RELEASED, agentv1.IsolationState_ISOLATION_STATE_ISOLATED
	now := time.Now()
	c := &control{last: fromIsolation(beat(released, now).GetHeartbeat().GetIsolation())}
	for n, step := range []struct {
		m    *agentv1.ConnectRequest
		news bool
	}{
		{beat(released, now.Add(time.Second)), false},
		{beat(isolated, now), true},
		{beat(isolated, now.Add(time.Minute)), false},
		{&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Heartbeat{Heartbeat: &agentv1.Heartbeat{}}}, false},
		{beat(released, now), true},
		{&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Isolation{Isolation: beat(isolated, now).GetHeartbeat().GetIsolation()}}, true},
		{beat(isolated, now), false},
		{&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_IsolationEvent{IsolationEvent: &agentv1.IsolationEvent{}}}, true},
		{&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Alert{Alert: &agentv1.Alert{}}}, true},
		{&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_Progress{Progress: &agentv1.AcquisitionProgress{}}}, false},
	} {
		if got := c.isNews(step.m); got != step.news {
			t.Errorf("step %d: news %t, want %t", n, got, step.news)
		}
	}
}
