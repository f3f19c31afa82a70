// Package e2e tests the whole of Hozen by its real programs, started as a person
// would start them. It knows them by command line, files and screen only.
package e2e
