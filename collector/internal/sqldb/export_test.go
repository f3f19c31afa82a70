package sqldb

// OpenWith opens with other migrations than the program's.
var OpenWith = open
