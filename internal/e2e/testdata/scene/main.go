// Command scene is a program with one connection, for evidence to show: it says its
// process and both ends of the connection, and stays until it is killed. Its memory alone holds
// a marker.
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
)

func main() {
	c, err := net.Dial("tcp", os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "marked %d", os.Getpid()))
	marker := bytes.Repeat(sum[:], 4)
	fmt.Println(os.Getpid(), c.LocalAddr(), c.RemoteAddr())
	_, _ = io.Copy(io.Discard, c)
	runtime.KeepAlive(marker)
}
