// Package console is the web console: pages, forms, live updates and downloads for
// the people who handle incidents. It knows nothing of SQL, gRPC or how evidence is
// stored: everything it shows and does goes through the acts.
//
// [routes] is the whole map. A page is one file here and one template of the same
// name. Pages work without JavaScript; what a stranger wrote (command lines, host
// names, notes) reaches a page only through [inert].
package console
