package evidence

// FailSteps makes cfg's intake ask f before and after each step.
func FailSteps(cfg *Config, f func(step string, persisted bool) error) { cfg.fail = f }

// UnmarshalStrict opens the strict reader to the fuzzer.
var UnmarshalStrict = unmarshalStrict
