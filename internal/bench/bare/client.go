package bare

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
)

// chunk is the product's size of one message of an upload, in bytes.
const chunk = 256 << 10

// Client connects to the server whose files lie in dir, acknowledges every order at
// once, and uploads the files one after another, again and again, until ctx ends.
// Without files it only acknowledges.
func Client(ctx context.Context, dir string, files []string) error {
	conn, err := dial(dir)
	if err != nil {
		return err
	}
	defer conn.Close()
	api := agentv1.NewAgentServiceClient(conn)
	stream, err := api.Connect(ctx)
	if err != nil {
		return fmt.Errorf("open control stream: %w", err)
	}
	acks := make(chan error, 1)
	go func() { acks <- acknowledge(stream) }()
	for i := 0; ctx.Err() == nil && len(files) > 0; i++ {
		if err := upload(ctx, api, files[i%len(files)]); err != nil {
			return err
		}
	}
	return <-acks
}

func acknowledge(stream grpc.BidiStreamingClient[agentv1.ConnectRequest, agentv1.ConnectResponse]) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("read order: %w", err)
		}
		ack := &agentv1.CommandAck{CommandId: m.GetCommand().GetCommandId()}
		if err := stream.Send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_CommandAck{CommandAck: ack}}); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
	}
}

func upload(ctx context.Context, api agentv1.AgentServiceClient, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open file to upload: %w", err)
	}
	defer f.Close()
	stream, err := api.Upload(ctx)
	if err != nil {
		return fmt.Errorf("open upload: %w", err)
	}
	buf := make([]byte, chunk)
	for {
		n, err := io.ReadFull(f, buf)
		if n > 0 {
			if err := stream.Send(&agentv1.UploadRequest{Step: &agentv1.UploadRequest_Chunk{Chunk: buf[:n]}}); err != nil {
				return fmt.Errorf("send chunk: %w", err)
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read file to upload: %w", err)
		}
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		return fmt.Errorf("end upload: %w", err)
	}
	return nil
}

func dial(dir string) (*grpc.ClientConn, error) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil // the parser below names what is missing
		}
		return b
	}
	ca, err := pki.ParseCertificatePEM(read(caFile))
	if err != nil {
		return nil, fmt.Errorf("read CA: %w", err)
	}
	leaf, err := pki.ParseCertificatePEM(read(certFile))
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	key, err := pki.ParseKeyPEM(read(keyFile))
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	cert, err := pki.TLSCertificate(leaf.Raw, key, ca.Raw)
	if err != nil {
		return nil, err
	}
	creds := credentials.NewTLS(pki.ClientConfig(ca, func() (*tls.Certificate, error) { return &cert, nil }, time.Now))
	conn, err := grpc.NewClient(string(read(addrFile)), grpc.WithTransportCredentials(creds))
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	return conn, nil
}
