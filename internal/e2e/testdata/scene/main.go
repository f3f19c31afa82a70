// Command scene is a program with one connection, for evidence to show: it says its
// process and both ends of the connection, and stays until it is killed.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	c, err := net.Dial("tcp", os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(os.Getpid(), c.LocalAddr(), c.RemoteAddr())
	_, _ = io.Copy(io.Discard, c)
}
