// Package archtest holds the rules of the tree as ordinary tests: who may import
// what on each operating system, that every package says what it is, that nothing
// runs before main. It holds no code that a program links.
package archtest
