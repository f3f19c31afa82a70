package bare

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"hozen/internal/id"
	agentv1 "hozen/proto/hozen/agent/v1"
)

// Streams takes many clients and sends something to all of them at once.
type Streams struct {
	agentv1.UnimplementedAgentServiceServer

	grpc    *grpc.Server
	mu      sync.Mutex
	open    map[*pushed]struct{}
	results chan struct{} // one for each result that arrives
}

// pushed is one stream that waits for orders.
type pushed struct{ orders chan *agentv1.Command }

// ListenStreams is [Listen] for many clients.
func ListenStreams(dir string) (*Streams, error) {
	s := &Streams{open: map[*pushed]struct{}{}, results: make(chan struct{}, 1024)}
	var err error
	s.grpc, err = serve(dir, s)
	return s, err
}

// Close ends every connection.
func (s *Streams) Close() { s.grpc.Stop() }

// Open is how many clients are there.
func (s *Streams) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Push sends an order to isolate to every stream, with all that the product's has, and
// returns how long it took until each had answered by an acknowledgement and a result.
func (s *Streams) Push(ctx context.Context) (time.Duration, error) {
	s.mu.Lock()
	all := make([]*pushed, 0, len(s.open))
	for p := range s.open {
		all = append(all, p)
	}
	s.mu.Unlock()
	begun := time.Now()
	for _, p := range all {
		p.orders <- toIsolate()
	}
	for range all {
		select {
		case <-s.results:
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for results: %w", ctx.Err())
		}
	}
	return time.Since(begun), nil
}

// toIsolate is an order of the size of the product's.
func toIsolate() *agentv1.Command {
	now := timestamppb.Now()
	return &agentv1.Command{
		CommandId: id.New(id.Command), IncidentId: id.New(id.Incident), Counter: 7, Issuer: "owner", Reason: "bench", IssuedAt: now,
		Verb: &agentv1.Command_Isolate{Isolate: &agentv1.Isolate{
			Mode: agentv1.IsolationMode_ISOLATION_MODE_STANDARD, IsolateFirst: true, Lease: durationpb.New(time.Hour),
			ReleaseCode: &agentv1.ReleaseCode{Number: "123456789012", Hash: make([]byte, 32), Salt: make([]byte, 16), Iterations: 10_000},
			Collectors:  []string{"192.0.2.7:8443"},
		}},
	}
}

// Connect is the control stream.
func (s *Streams) Connect(stream grpc.BidiStreamingServer[agentv1.ConnectRequest, agentv1.ConnectResponse]) error {
	p := &pushed{orders: make(chan *agentv1.Command, 1)}
	s.mu.Lock()
	s.open[p] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.open, p)
		s.mu.Unlock()
	}()
	heard := make(chan string)
	go func() {
		defer close(heard)
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			if r := m.GetCommandResult(); r != nil {
				s.results <- struct{}{}
				select {
				case heard <- r.GetCommandId():
				case <-stream.Context().Done():
					return
				}
			}
		}
	}()
	for {
		var m *agentv1.ConnectResponse
		select {
		case c := <-p.orders:
			m = &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Command{Command: c}}
		case name, ok := <-heard:
			if !ok {
				return nil
			}
			m = &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_ResultReceived{ResultReceived: &agentv1.ResultReceived{CommandId: name}}}
		case <-stream.Context().Done():
			return nil
		}
		if err := stream.Send(m); err != nil {
			return err
		}
	}
}

// Clients connects n times to the server whose files lie in dir, each over a connection
// of its own, and answers every order at once until ctx ends.
func Clients(ctx context.Context, dir string, n int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// As with the simulated agents, the one heap of many PCs is not gone through in the middle
	// of a push, unless there is very much garbage.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 30))
	var wg sync.WaitGroup
	defer wg.Wait()
	for range n {
		conn, err := dial(dir)
		if err != nil {
			return err
		}
		defer conn.Close()
		stream, err := agentv1.NewAgentServiceClient(conn).Connect(ctx)
		if err != nil {
			return fmt.Errorf("open control stream: %w", err)
		}
		wg.Go(func() {
			if err := answer(stream); err != nil && ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func answer(stream grpc.BidiStreamingClient[agentv1.ConnectRequest, agentv1.ConnectResponse]) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("read order: %w", err)
		}
		c := m.GetCommand()
		if c == nil {
			continue
		}
		now := timestamppb.Now()
		for _, out := range []*agentv1.ConnectRequest{
			{Body: &agentv1.ConnectRequest_CommandAck{CommandAck: &agentv1.CommandAck{CommandId: c.GetCommandId()}}},
			{Body: &agentv1.ConnectRequest_CommandResult{CommandResult: &agentv1.CommandResult{
				CommandId: c.GetCommandId(), Status: agentv1.CommandStatus_COMMAND_STATUS_DONE, FinishedAt: now,
				Isolation: &agentv1.IsolationStatus{MeasuredAt: now, WayHome: true, Capable: true},
			}}},
		} {
			if err := stream.Send(out); err != nil {
				return fmt.Errorf("answer: %w", err)
			}
		}
	}
}
