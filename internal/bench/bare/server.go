package bare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"crypto/tls"

	"hozen/internal/id"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
)

// maxMessage is the largest message either side takes, in bytes; the product's
// chunks are 256 KiB.
const maxMessage = 1 << 20

// Server takes one client: orders on a stream, uploads beside it.
type Server struct {
	agentv1.UnimplementedAgentServiceServer

	grpc     *grpc.Server
	orders   chan order
	uploads  chan Upload
	arrivals chan struct{} // one for each stream that opens
}

type order struct {
	id   string
	done chan<- struct{}
}

// Upload is one upload that ended.
type Upload struct {
	Bytes int64 // of chunks
	Ended time.Time
}

// files that the two sides share, in the folder given to both.
const (
	caFile    = "ca.pem"
	certFile  = "client.pem"
	keyFile   = "client.key"
	addrFile  = "addr"
	endpoints = "127.0.0.1:0"
)

// Listen makes a CA and both certificates in dir and serves on loopback until Close.
func Listen(dir string) (*Server, error) {
	s := &Server{orders: make(chan order), uploads: make(chan Upload, 1024), arrivals: make(chan struct{}, 1)}
	var err error
	s.grpc, err = serve(dir, s)
	return s, err
}

func serve(dir string, service agentv1.AgentServiceServer) (*grpc.Server, error) {
	now := time.Now()
	ca, err := pki.NewCA("bare", now)
	if err != nil {
		return nil, err
	}
	key, err := pki.NewKey()
	if err != nil {
		return nil, err
	}
	der, _, err := ca.IssueCollector(nil, []net.IP{net.IPv4(127, 0, 0, 1)}, key.Public(), now)
	if err != nil {
		return nil, err
	}
	cert, err := pki.TLSCertificate(der, key, ca.Certificate().Raw)
	if err != nil {
		return nil, err
	}
	clientKey, err := pki.NewKey()
	if err != nil {
		return nil, err
	}
	clientDER, _, err := ca.IssueAgent(id.New(id.Endpoint), clientKey.Public(), now)
	if err != nil {
		return nil, err
	}
	clientPEM, err := pki.KeyPEM(clientKey)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", endpoints)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	for name, b := range map[string][]byte{
		caFile: ca.CertificatePEM(), certFile: pki.CertificatePEM(clientDER), keyFile: clientPEM,
		addrFile: []byte(l.Addr().String()),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("write %s: %w", name, err), l.Close())
		}
	}
	creds := credentials.NewTLS(pki.ServerConfig(ca.Certificate(), func() (*tls.Certificate, error) { return &cert, nil }))
	s := grpc.NewServer(grpc.Creds(creds), grpc.MaxRecvMsgSize(maxMessage))
	agentv1.RegisterAgentServiceServer(s, service)
	go s.Serve(l) // ends with Stop
	return s, nil
}

// Close ends every connection.
func (s *Server) Close() { s.grpc.Stop() }

// Connected waits for a client's control stream.
func (s *Server) Connected(ctx context.Context) error {
	select {
	case <-s.arrivals:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the client: %w", ctx.Err())
	}
}

// Order sends n orders, each after the acknowledgement of the one before and a pause
// of gap, and returns how long each acknowledgement took.
func (s *Server) Order(ctx context.Context, n int, gap time.Duration) ([]time.Duration, error) {
	took := make([]time.Duration, 0, n)
	pause := time.NewTimer(gap)
	defer pause.Stop()
	for i := range n {
		done := make(chan struct{})
		start := time.Now()
		select {
		case s.orders <- order{strconv.Itoa(i), done}:
		case <-ctx.Done():
			return took, fmt.Errorf("send order %d: %w", i, ctx.Err())
		}
		select {
		case <-done:
		case <-ctx.Done():
			return took, fmt.Errorf("wait for acknowledgement %d: %w", i, ctx.Err())
		}
		took = append(took, time.Since(start))
		pause.Reset(gap)
		<-pause.C
	}
	return took, nil
}

// Uploads yields each upload as it ends; what nobody takes is dropped.
func (s *Server) Uploads() <-chan Upload { return s.uploads }

// Connect is the control stream.
func (s *Server) Connect(stream grpc.BidiStreamingServer[agentv1.ConnectRequest, agentv1.ConnectResponse]) error {
	acks := make(chan string)
	go func() {
		defer close(acks)
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			if a := m.GetCommandAck(); a != nil {
				select {
				case acks <- a.GetCommandId():
				case <-stream.Context().Done():
					return
				}
			}
		}
	}()
	select {
	case s.arrivals <- struct{}{}:
	default:
	}
	waiting := map[string]chan<- struct{}{}
	for {
		select {
		case o := <-s.orders:
			waiting[o.id] = o.done
			cmd := &agentv1.Command{CommandId: o.id, Issuer: "bench", Reason: "bench", Verb: &agentv1.Command_Release{Release: &agentv1.Release{}}}
			if err := stream.Send(&agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Command{Command: cmd}}); err != nil {
				return err
			}
		case name, ok := <-acks:
			if !ok {
				return nil
			}
			if done := waiting[name]; done != nil {
				close(done)
				delete(waiting, name)
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

// Upload reads to the end and throws the bytes away.
func (s *Server) Upload(stream grpc.ClientStreamingServer[agentv1.UploadRequest, agentv1.UploadResponse]) error {
	var n int64
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		n += int64(len(m.GetChunk()))
	}
	select {
	case s.uploads <- Upload{n, time.Now()}:
	default:
	}
	return stream.SendAndClose(&agentv1.UploadResponse{Result: &agentv1.UploadResponse_Receipt{Receipt: &agentv1.Receipt{}}})
}
