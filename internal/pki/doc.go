// Package pki is Hozen's own certificate authority, the profiles of its
// certificates, the enrolment token and the TLS settings made of them. It knows
// nothing of gRPC, of files and of where certificates are recorded.
//
// Every key is ECDSA P-256 (FIPS 186-5), so that stock openssl can check whatever
// it signs. Who a certificate stands for is in one URI name and never in a DNS
// name: PCs find their collector by address, and addresses change.
package pki
