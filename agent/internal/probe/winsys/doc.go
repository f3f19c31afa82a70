// Package winsys asks Windows: it makes the calls, grows buffers until the answers fit, closes
// what it opens, and turns the system's codes into errors. It knows nothing of what the
// answers mean; package winbytes reads them.
package winsys
