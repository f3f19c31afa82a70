package operator

// TokenHash is how a row knows the token of its session.
var TokenHash = hashToken
