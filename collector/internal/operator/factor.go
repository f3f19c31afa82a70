package operator

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"hozen/collector/internal/sqldb"
)

// The one-time codes of RFC 6238 as every authenticator app knows them: SHA-1, six
// digits, thirty seconds. One step to either side is taken, for clocks that differ.
const (
	factorPeriod = 30
	factorSkew   = 1
	factorBytes  = 20
)

// RecoveryCodes is how many recovery codes somebody gets.
const RecoveryCodes = 10

// Factor is somebody's second factor as it is stored.
type Factor struct {
	Sealed string    // its key; empty: none was begun
	Since  time.Time // when it was confirmed; zero: not yet
	Step   int64     // the newest step of which a code was taken
	Left   int       // recovery codes that were not used
}

// NewFactor returns a fresh key and the address that an authenticator app reads from a
// picture. issuer and name are what the app shows.
func NewFactor(issuer, name string) (key, url string, err error) {
	k, err := totp.Generate(totp.GenerateOpts{Issuer: strings.ReplaceAll(issuer, ":", " "), AccountName: strings.ReplaceAll(name, ":", " "), Period: factorPeriod,
		SecretSize: factorBytes, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		return "", "", fmt.Errorf("make second factor: %w", err)
	}
	return k.Secret(), k.URL(), nil
}

// FactorStep returns the step that a code is of, by a key from [NewFactor]. A code of a
// step at or before after was used, or is older than one that was: 0 for it, as for a
// wrong one.
func FactorStep(key, code string, after int64, now time.Time) (int64, error) {
	code = strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\u3000' {
			return -1
		}
		if r >= '０' && r <= '９' { // as a Japanese keyboard types them
			return r - '０' + '0'
		}
		return r
	}, code)
	current := now.Unix() / factorPeriod
	var found int64
	for step := current - factorSkew; step <= current+factorSkew; step++ {
		want, err := totp.GenerateCodeCustom(key, time.Unix(step*factorPeriod, 0), totp.ValidateOpts{Period: factorPeriod, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return 0, fmt.Errorf("check code: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && step > after {
			found = step
		}
	}
	return found, nil
}

// RecoveryCode returns a fresh recovery code: its number, 0 to 9, says which hash it is
// held against, so that one slow check is enough; twelve characters of 31 follow, 59 bits.
func RecoveryCode(no int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", no)
	for i := range 12 {
		if i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(oneTimeAlphabet[randomBelow(len(oneTimeAlphabet))])
	}
	return b.String()
}

// ParseRecoveryCode returns the number of a recovery code and the code as it was hashed,
// whatever blanks, dashes and capitals it was typed with. ok is false for what can be none.
func ParseRecoveryCode(text string) (no int, code string, ok bool) {
	text = strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\u3000' {
			return -1
		}
		return r
	}, strings.ToLower(text))
	if len(text) != 13 || text[0] < '0' || text[0] > '9' {
		return 0, "", false
	}
	for _, c := range []byte(text[1:]) {
		if strings.IndexByte(oneTimeAlphabet, c) < 0 {
			return 0, "", false
		}
	}
	return int(text[0] - '0'), text, true
}

// FactorOf returns somebody's second factor.
func FactorOf(ctx context.Context, q sqldb.Queryer, id string) (Factor, error) {
	var f Factor
	err := q.QueryRowContext(ctx, `SELECT factor_secret, factor_since, factor_step, (SELECT COUNT(*) FROM operator_recovery r WHERE r.operator_id = o.id AND r.used_at = '')
		FROM operator_operator o WHERE id = $1`, id).Scan(&f.Sealed, sqldb.ScanTime(&f.Since), &f.Step, &f.Left)
	if errors.Is(err, sql.ErrNoRows) {
		return Factor{}, ErrNotFound
	}
	if err != nil {
		return Factor{}, fmt.Errorf("find second factor: %w", err)
	}
	return f, nil
}

// BeginFactor stores a key that is not in use before [ConfirmFactor].
func BeginFactor(ctx context.Context, tx *sqldb.Tx, id, sealed string) error {
	return exec(ctx, tx, "begin second factor", `UPDATE operator_operator SET factor_secret = $1, factor_since = '', factor_step = 0 WHERE id = $2`, sealed, id)
}

// ConfirmFactor takes the key that was stored as sealed into use and reports whether it still
// was the one that waits. step is that of the code which confirmed it.
func ConfirmFactor(ctx context.Context, tx *sqldb.Tx, id, sealed string, step int64, at time.Time) (bool, error) {
	return one(ctx, tx, "confirm second factor", `UPDATE operator_operator SET factor_since = $1, factor_step = $2 WHERE id = $3 AND factor_secret = $4 AND factor_since = ''`,
		sqldb.FormatTime(at), step, id, sealed)
}

// UseStep marks a code as used and reports whether it was not before: of two requests
// with one code, one gets in.
func UseStep(ctx context.Context, tx *sqldb.Tx, id string, step int64) (bool, error) {
	return one(ctx, tx, "use code", `UPDATE operator_operator SET factor_step = $1 WHERE id = $2 AND factor_step < $3`, step, id, step)
}

// RemoveFactor takes somebody's second factor and recovery codes away.
func RemoveFactor(ctx context.Context, tx *sqldb.Tx, id string) error {
	return errors.Join(
		exec(ctx, tx, "remove second factor", `UPDATE operator_operator SET factor_secret = '', factor_since = '', factor_step = 0 WHERE id = $1`, id),
		exec(ctx, tx, "remove recovery codes", `DELETE FROM operator_recovery WHERE operator_id = $1`, id))
}

// SetRecovery replaces somebody's recovery codes by the hashes of new ones, in the order of
// their numbers.
func SetRecovery(ctx context.Context, tx *sqldb.Tx, o Operator, hashes []string) error {
	if err := exec(ctx, tx, "remove recovery codes", `DELETE FROM operator_recovery WHERE operator_id = $1`, o.ID); err != nil {
		return err
	}
	for no, h := range hashes {
		if err := exec(ctx, tx, "store recovery code", `INSERT INTO operator_recovery (operator_id, code_no, organisation_id, hash, used_at) VALUES ($1, $2, $3, $4, '')`,
			o.ID, no, o.OrganisationID, h); err != nil {
			return err
		}
	}
	return nil
}

// RecoveryHash returns the hash of a recovery code that was not used; empty: there is none.
func RecoveryHash(ctx context.Context, q sqldb.Queryer, id string, no int) (string, error) {
	var hash string
	err := q.QueryRowContext(ctx, `SELECT hash FROM operator_recovery WHERE operator_id = $1 AND code_no = $2 AND used_at = ''`, id, no).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find recovery code: %w", err)
	}
	return hash, nil
}

// UseRecovery marks a recovery code as used and reports whether it was not before.
func UseRecovery(ctx context.Context, tx *sqldb.Tx, id string, no int, at time.Time) (bool, error) {
	return one(ctx, tx, "use recovery code", `UPDATE operator_recovery SET used_at = $1 WHERE operator_id = $2 AND code_no = $3 AND used_at = ''`, sqldb.FormatTime(at), id, no)
}

func exec(ctx context.Context, tx *sqldb.Tx, what, query string, args ...any) error {
	if _, err := tx.ExecContext(ctx, query, args...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// one runs a statement and reports whether it changed a row.
func one(ctx context.Context, tx *sqldb.Tx, what, query string, args ...any) (bool, error) {
	r, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("%s: %w", what, err)
	}
	return n > 0, nil
}

// FactorURL is the address that an authenticator app reads from a picture (the key URI
// format of Google Authenticator), of a key from [NewFactor].
func FactorURL(issuer, name, key string) string {
	q := url.Values{"secret": {key}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
	return "otpauth://totp/" + url.PathEscape(issuer+":"+name) + "?" + q.Encode()
}
