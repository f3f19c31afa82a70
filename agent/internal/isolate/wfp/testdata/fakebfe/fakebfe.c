/* A stand-in for fwpuclnt.dll, for tests under Wine, which has no base filtering engine.
 *
 * It is compiled against the platform's own headers, so that a structure that is laid out
 * otherwise than they say is read wrongly here, as Windows would. It refuses what the
 * documentation says that the engine refuses, keeps what it accepted in a file, as the
 * engine does, and logs each call as one line of JSON. It filters nothing.
 *
 *   x86_64-w64-mingw32-gcc -O1 -Wall -shared -o fwpuclnt.dll fakebfe.c -lrpcrt4 -ladvapi32
 *
 * With HOZEN_FAKEBFE_SHY=1 no list has the boot-time filters; they are found by key alone.
 * HOZEN_FAKEBFE names the folder of its files; C:\hozen-fakebfe if it is not set.
 *   state    what is installed
 *   calls    the log
 *   changes  what was added and removed, for subscribers in other processes
 *   lock     held during a transaction that writes
 */
#define _WIN32_WINNT 0x0A00
#include <windows.h>
#include <rpc.h>
#include <fwpmu.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#define EXPORT __declspec(dllexport)
#define NAMED(name, a, b, c, d, e, f, g, h, i, j, k) \
	static const GUID name = {a, b, c, {d, e, f, g, h, i, j, k}}
NAMED(CONNECT4, 0xc38d57d1, 0x05a7, 0x4c33, 0x90, 0x4f, 0x7f, 0xbc, 0xee, 0xe6, 0x0e, 0x82);
NAMED(CONNECT6, 0x4a72393b, 0x319f, 0x44bc, 0x84, 0xc3, 0xba, 0x54, 0xdc, 0xb3, 0xb6, 0xb4);
NAMED(ACCEPT4, 0xe1cd9fe7, 0xf4b5, 0x4273, 0x96, 0xc0, 0x59, 0x2e, 0x48, 0x7b, 0x86, 0x50);
NAMED(ACCEPT6, 0xa3b42c97, 0x9f04, 0x4672, 0xb8, 0x7e, 0xce, 0xe9, 0xc4, 0x83, 0x25, 0x7f);
NAMED(FORWARD4, 0xa82acc24, 0x4ee1, 0x4ee1, 0xb4, 0x65, 0xfd, 0x1d, 0x25, 0xcb, 0x10, 0xa4);
NAMED(FORWARD6, 0x7b964818, 0x19c7, 0x493a, 0xb7, 0x1f, 0x83, 0x2c, 0x36, 0x84, 0xd2, 0x8c);
NAMED(REMOTE_ADDRESS, 0xb235ae9a, 0x1d64, 0x49b8, 0xa4, 0x4c, 0x5f, 0xf3, 0xd9, 0x09, 0x50, 0x45);
NAMED(PROTOCOL, 0x3971ef2b, 0x623e, 0x4f9a, 0x8c, 0xb1, 0x6e, 0x79, 0xb8, 0x06, 0xb9, 0xa7);
NAMED(LOCAL_PORT, 0x0c1ba1af, 0x5765, 0x453f, 0xaf, 0x22, 0xa8, 0xf7, 0x91, 0xac, 0x77, 0x5b);
NAMED(REMOTE_PORT, 0xc35a604d, 0xd22b, 0x4e1a, 0x91, 0xb4, 0x68, 0xf6, 0x74, 0xee, 0x67, 0x4b);
NAMED(APP_ID, 0xd78e1e87, 0x8644, 0x4ea5, 0x94, 0x37, 0xd8, 0x09, 0xec, 0xef, 0xc9, 0x71);
NAMED(USER_ID, 0xaf043a0a, 0xb34d, 0x4f86, 0x97, 0x9c, 0xc9, 0x03, 0x71, 0xaf, 0x6e, 0x66);
NAMED(FLAGS, 0x632ce23b, 0x5167, 0x435c, 0x86, 0xd7, 0xe9, 0x03, 0x68, 0x4a, 0xa8, 0x0c);

#define PERSISTENT 1
#define BOOTTIME 2
#define HARD 8
#define KNOWN_FLAGS (PERSISTENT | BOOTTIME | HARD)

/* What is installed. Everything has a fixed size, so the file is the memory. */
enum { PROVIDERS = 16, SUBLAYERS = 32, FILTERS = 640, CONDITIONS = 8, BYTES = 1024, TEXT = 256 };
typedef struct { UINT32 type, size; BYTE data[BYTES]; } Value;
typedef struct { GUID field; UINT32 match; Value value; } Condition;
typedef struct { GUID key; UINT32 flags; wchar_t name[TEXT], service[TEXT]; } Provider;
typedef struct { GUID key, provider; UINT32 flags; int owned; UINT16 weight; wchar_t name[TEXT]; } Sublayer;
typedef struct {
	GUID key, provider, layer, sublayer;
	int owned;
	UINT32 flags, action, count;
	UINT64 id;
	Value weight;
	wchar_t name[TEXT];
	Condition conditions[CONDITIONS];
} Filter;
typedef struct {
	UINT32 version, providers, sublayers, filters;
	UINT64 next;
	Provider provider[PROVIDERS];
	Sublayer sublayer[SUBLAYERS];
	Filter filter[FILTERS];
} State;
#define VERSION 0x48427a01

typedef struct { UINT32 by, type; GUID key; UINT64 id; } Change;

typedef struct {
	UINT32 id; /* unique among processes */
	int active, reads, dynamic;
	UINT32 wait;
	HANDLE lock;
	State *work;
	Change changes[2 * FILTERS];
	int changed;
} Session;

static CRITICAL_SECTION guard; /* for the log */
static LONG sessions;

static void path(char *out, const char *name) {
	char dir[MAX_PATH];
	if (!GetEnvironmentVariableA("HOZEN_FAKEBFE", dir, sizeof dir)) strcpy(dir, "C:\\hozen-fakebfe");
	CreateDirectoryA(dir, NULL);
	snprintf(out, MAX_PATH, "%s\\%s", dir, name);
}

static void say(const char *format, ...) {
	char file[MAX_PATH];
	path(file, "calls");
	EnterCriticalSection(&guard);
	FILE *f = fopen(file, "ab");
	if (f) {
		va_list args;
		va_start(args, format);
		vfprintf(f, format, args);
		va_end(args);
		fputc('\n', f);
		fclose(f);
	}
	LeaveCriticalSection(&guard);
}

static DWORD answer(const char *call, DWORD code) {
	say("{\"call\":\"%s\",\"code\":%lu}", call, code);
	return code;
}

static const char *text(const GUID *g, char *out) {
	snprintf(out, 40, "%08lx-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", g->Data1, g->Data2, g->Data3, g->Data4[0], g->Data4[1],
		g->Data4[2], g->Data4[3], g->Data4[4], g->Data4[5], g->Data4[6], g->Data4[7]);
	return out;
}

/* utf8 is a name without what JSON would need escaped. */
static const char *utf8(const wchar_t *w, char *out, int size) {
	*out = 0;
	if (w) WideCharToMultiByte(CP_UTF8, 0, w, -1, out, size, NULL, NULL);
	for (char *c = out; *c; c++) if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ') *c = '_';
	return out;
}

static void copy(wchar_t *to, const wchar_t *from) {
	to[0] = 0;
	if (from) lstrcpynW(to, from, TEXT);
}

static State *load(void) {
	char file[MAX_PATH];
	path(file, "state");
	State *s = calloc(1, sizeof *s);
	FILE *f = fopen(file, "rb");
	if (f) {
		size_t head = offsetof(State, filter);
		if (fread(s, 1, head, f) == head && s->version == VERSION) {
			if (fread(s->filter, sizeof *s->filter, s->filters, f) != s->filters) s->filters = 0;
		} else memset(s, 0, sizeof *s);
		fclose(f);
	}
	s->version = VERSION;
	if (!s->next) s->next = 65000;
	return s;
}

static DWORD save(const State *s) {
	char file[MAX_PATH], fresh[MAX_PATH];
	path(file, "state");
	path(fresh, "state.new");
	FILE *f = fopen(fresh, "wb");
	if (!f) return ERROR_WRITE_FAULT;
	size_t head = offsetof(State, filter);
	int ok = fwrite(s, 1, head, f) == head && fwrite(s->filter, sizeof *s->filter, s->filters, f) == s->filters;
	fclose(f);
	return ok && MoveFileExA(fresh, file, MOVEFILE_REPLACE_EXISTING) ? 0 : ERROR_WRITE_FAULT;
}

static void publish(Session *s) {
	char file[MAX_PATH];
	path(file, "changes");
	FILE *f = NULL;
	for (int i = 0; s->changed && !f && i < 100; i++) {
		if (!(f = fopen(file, "ab"))) Sleep(5); /* a reader may hold it for a moment */
	}
	if (f) {
		fwrite(s->changes, sizeof *s->changes, s->changed, f);
		fclose(f);
	}
	s->changed = 0;
}

static void note(Session *s, UINT32 type, const Filter *f) {
	if (s->changed < (int)(sizeof s->changes / sizeof *s->changes)) s->changes[s->changed++] = (Change){s->id, type, f->key, f->id};
}

/* One file lock stands for the engine's: it goes with the process. */
static DWORD hold(Session *s) {
	char file[MAX_PATH];
	path(file, "lock");
	s->lock = CreateFileA(file, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_ALWAYS, 0, NULL);
	if (s->lock == INVALID_HANDLE_VALUE) return ERROR_WRITE_FAULT;
	OVERLAPPED o = {0};
	for (DWORD begin = GetTickCount();; Sleep(5)) {
		if (LockFileEx(s->lock, LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &o)) return 0;
		if (GetTickCount() - begin > (s->wait ? s->wait : 15000)) break;
	}
	CloseHandle(s->lock);
	s->lock = NULL;
	return FWP_E_TIMEOUT;
}

static void let(Session *s) {
	if (!s->lock) return;
	OVERLAPPED o = {0};
	UnlockFileEx(s->lock, 0, 1, 0, &o);
	CloseHandle(s->lock);
	s->lock = NULL;
}

static void finish(Session *s) {
	free(s->work);
	s->work = NULL;
	s->active = s->reads = s->changed = 0;
	let(s);
}

static Session *session(HANDLE h) {
	Session *s = h;
	return s && !IsBadReadPtr(s, sizeof s->id) && s->id ? s : NULL;
}

/* writing opens a transaction of one call where there is none. */
static DWORD writing(Session *s, int *single) {
	*single = 0;
	if (!s) return ERROR_INVALID_HANDLE;
	if (s->active) return s->reads ? FWP_E_INCOMPATIBLE_TXN : 0;
	DWORD code = hold(s);
	if (code) return code;
	s->work = load();
	*single = 1;
	return 0;
}

static DWORD wrote(Session *s, int single, DWORD code) {
	if (!single) return code;
	if (!code) code = save(s->work);
	if (!code) publish(s);
	finish(s);
	return code;
}

static State *seen(Session *s, int *single) {
	*single = !s->active;
	return s->active ? s->work : load();
}

static int findProvider(const State *s, const GUID *k) {
	for (int i = 0; i < (int)s->providers; i++) if (IsEqualGUID(&s->provider[i].key, k)) return i;
	return -1;
}
static int findSublayer(const State *s, const GUID *k) {
	for (int i = 0; i < (int)s->sublayers; i++) if (IsEqualGUID(&s->sublayer[i].key, k)) return i;
	return -1;
}
static int findFilter(const State *s, const GUID *k) {
	for (int i = 0; i < (int)s->filters; i++) if (IsEqualGUID(&s->filter[i].key, k)) return i;
	return -1;
}

/* HozenFakeBFE tells tests that this is no engine. */
EXPORT DWORD WINAPI HozenFakeBFE(void) { return 1; }

EXPORT DWORD WINAPI FwpmEngineOpen0(const wchar_t *server, UINT32 service, SEC_WINNT_AUTH_IDENTITY_W *id, const FWPM_SESSION0 *conf, HANDLE *out) {
	char name[TEXT];
	if (server || (service != RPC_C_AUTHN_WINNT && service != RPC_C_AUTHN_DEFAULT) || !out) return answer("open", ERROR_INVALID_PARAMETER);
	Session *s = calloc(1, sizeof *s);
	s->id = GetCurrentProcessId() << 8 | (InterlockedIncrement(&sessions) & 0xff);
	s->dynamic = conf && (conf->flags & 1);
	s->wait = conf ? conf->txnWaitTimeoutInMSec : 0;
	*out = s;
	say("{\"call\":\"open\",\"code\":0,\"session\":%u,\"name\":\"%s\",\"flags\":%u,\"wait\":%u}", s->id, utf8(conf ? conf->displayData.name : NULL, name, sizeof name),
		conf ? conf->flags : 0, s->wait);
	return 0;
}

EXPORT DWORD WINAPI FwpmEngineClose0(HANDLE h) {
	Session *s = session(h);
	if (!s) return answer("close", ERROR_INVALID_HANDLE);
	finish(s);
	s->id = 0; /* not freed: who uses it again is to be told */
	return answer("close", 0);
}

EXPORT DWORD WINAPI FwpmTransactionBegin0(HANDLE h, UINT32 flags) {
	Session *s = session(h);
	if (!s) return answer("begin", ERROR_INVALID_HANDLE);
	if (s->active) return answer("begin", FWP_E_TXN_IN_PROGRESS);
	if (flags & ~1u) return answer("begin", FWP_E_INVALID_FLAGS);
	DWORD code = flags ? 0 : hold(s);
	if (code) return answer("begin", code);
	s->work = load();
	s->active = 1;
	s->reads = flags;
	say("{\"call\":\"begin\",\"code\":0,\"flags\":%u}", flags);
	return 0;
}

EXPORT DWORD WINAPI FwpmTransactionCommit0(HANDLE h) {
	Session *s = session(h);
	if (!s || !s->active) return answer("commit", s ? FWP_E_NO_TXN_IN_PROGRESS : ERROR_INVALID_HANDLE);
	DWORD code = s->reads ? 0 : save(s->work);
	if (!code && !s->reads) publish(s);
	finish(s);
	return answer("commit", code);
}

EXPORT DWORD WINAPI FwpmTransactionAbort0(HANDLE h) {
	Session *s = session(h);
	if (!s || !s->active) return answer("abort", s ? FWP_E_NO_TXN_IN_PROGRESS : ERROR_INVALID_HANDLE);
	finish(s);
	return answer("abort", 0);
}

static DWORD addProvider(Session *s, const FWPM_PROVIDER0 *p) {
	State *w = s->work;
	if (!p->displayData.name) return FWP_E_NULL_DISPLAY_NAME;
	if (p->flags & ~PERSISTENT) return FWP_E_INVALID_FLAGS;
	if (s->dynamic && p->flags) return FWP_E_LIFETIME_MISMATCH;
	if (findProvider(w, &p->providerKey) >= 0) return FWP_E_ALREADY_EXISTS;
	if (w->providers == PROVIDERS) return ERROR_OUTOFMEMORY;
	Provider *n = &w->provider[w->providers++];
	memset(n, 0, sizeof *n);
	n->key = p->providerKey;
	n->flags = p->flags;
	copy(n->name, p->displayData.name);
	copy(n->service, p->serviceName);
	return 0;
}

EXPORT DWORD WINAPI FwpmProviderAdd0(HANDLE h, const FWPM_PROVIDER0 *p, PSECURITY_DESCRIPTOR sd) {
	Session *s = session(h);
	int single;
	char key[40], name[3 * TEXT], service[3 * TEXT];
	DWORD code = writing(s, &single);
	if (!code) code = wrote(s, single, p ? addProvider(s, p) : FWP_E_NULL_POINTER);
	say("{\"call\":\"add provider\",\"code\":%lu,\"key\":\"%s\",\"name\":\"%s\",\"flags\":%u,\"service\":\"%s\",\"sd\":%d}", code, text(&p->providerKey, key),
		utf8(p->displayData.name, name, sizeof name), p->flags, utf8(p->serviceName, service, sizeof service), sd != NULL);
	return code;
}

static DWORD addSublayer(Session *s, const FWPM_SUBLAYER0 *l) {
	State *w = s->work;
	if (!l->displayData.name) return FWP_E_NULL_DISPLAY_NAME;
	if (l->flags & ~PERSISTENT) return FWP_E_INVALID_FLAGS;
	if (findSublayer(w, &l->subLayerKey) >= 0) return FWP_E_ALREADY_EXISTS;
	if (l->providerKey) {
		int i = findProvider(w, l->providerKey);
		if (i < 0) return FWP_E_PROVIDER_NOT_FOUND;
		if (l->flags & PERSISTENT && !(w->provider[i].flags & PERSISTENT)) return FWP_E_LIFETIME_MISMATCH;
	}
	if (s->dynamic && l->flags) return FWP_E_LIFETIME_MISMATCH;
	if (w->sublayers == SUBLAYERS) return ERROR_OUTOFMEMORY;
	Sublayer *n = &w->sublayer[w->sublayers++];
	memset(n, 0, sizeof *n);
	n->key = l->subLayerKey;
	n->flags = l->flags;
	n->weight = l->weight;
	if (l->providerKey) n->owned = 1, n->provider = *l->providerKey;
	copy(n->name, l->displayData.name);
	return 0;
}

EXPORT DWORD WINAPI FwpmSubLayerAdd0(HANDLE h, const FWPM_SUBLAYER0 *l, PSECURITY_DESCRIPTOR sd) {
	Session *s = session(h);
	int single;
	char key[40], provider[40] = "", name[3 * TEXT];
	DWORD code = writing(s, &single);
	if (!code) code = wrote(s, single, l ? addSublayer(s, l) : FWP_E_NULL_POINTER);
	if (l->providerKey) text(l->providerKey, provider);
	say("{\"call\":\"add sublayer\",\"code\":%lu,\"key\":\"%s\",\"name\":\"%s\",\"flags\":%u,\"provider\":\"%s\",\"weight\":%u,\"sd\":%d}", code,
		text(&l->subLayerKey, key), utf8(l->displayData.name, name, sizeof name), l->flags, provider, l->weight, sd != NULL);
	return code;
}

/* keep copies what a value points to. */
static DWORD keep(Value *to, UINT32 type, const FWP_CONDITION_VALUE0 *v) {
	memset(to, 0, sizeof *to);
	to->type = type;
	UINT64 number = 0;
	switch (type) {
	case FWP_EMPTY: return 0;
	case FWP_UINT8: number = v->uint8; break;
	case FWP_UINT16: number = v->uint16; break;
	case FWP_UINT32: number = v->uint32; break;
	case FWP_UINT64: if (!v->uint64) return FWP_E_NULL_POINTER; number = *v->uint64; break;
	case FWP_BYTE_ARRAY16_TYPE:
		if (!v->byteArray16) return FWP_E_NULL_POINTER;
		to->size = 16;
		memcpy(to->data, v->byteArray16->byteArray16, 16);
		return 0;
	case FWP_BYTE_BLOB_TYPE:
	case FWP_SECURITY_DESCRIPTOR_TYPE:
		if (!v->byteBlob || !v->byteBlob->data) return FWP_E_NULL_POINTER;
		if (!v->byteBlob->size || v->byteBlob->size > BYTES) return FWP_E_OUT_OF_BOUNDS;
		to->size = v->byteBlob->size;
		memcpy(to->data, v->byteBlob->data, to->size);
		if (type == FWP_SECURITY_DESCRIPTOR_TYPE && (!IsValidSecurityDescriptor(to->data) || GetSecurityDescriptorLength(to->data) > to->size))
			return ERROR_INVALID_SECURITY_DESCR;
		return 0;
	case FWP_V4_ADDR_MASK:
		if (!v->v4AddrMask) return FWP_E_NULL_POINTER;
		if (~v->v4AddrMask->mask & (~v->v4AddrMask->mask + 1)) return FWP_E_INVALID_NET_MASK; /* no prefix */
		to->size = 8;
		memcpy(to->data, &v->v4AddrMask->addr, 4);
		memcpy(to->data + 4, &v->v4AddrMask->mask, 4);
		return 0;
	case FWP_V6_ADDR_MASK:
		if (!v->v6AddrMask) return FWP_E_NULL_POINTER;
		if (v->v6AddrMask->prefixLength > 128) return FWP_E_INVALID_NET_MASK;
		to->size = 17;
		memcpy(to->data, v->v6AddrMask->addr, 16);
		to->data[16] = v->v6AddrMask->prefixLength;
		return 0;
	case FWP_RANGE_TYPE:
		if (!v->rangeValue) return FWP_E_NULL_POINTER;
		if (v->rangeValue->valueLow.type != FWP_UINT16 || v->rangeValue->valueHigh.type != FWP_UINT16) return FWP_E_TYPE_MISMATCH;
		if (v->rangeValue->valueLow.uint16 > v->rangeValue->valueHigh.uint16) return FWP_E_INVALID_RANGE;
		to->size = 4;
		memcpy(to->data, &v->rangeValue->valueLow.uint16, 2);
		memcpy(to->data + 2, &v->rangeValue->valueHigh.uint16, 2);
		return 0;
	default: return FWP_E_TYPE_MISMATCH;
	}
	to->size = 8;
	memcpy(to->data, &number, 8);
	return 0;
}

/* fits says whether a condition may stand at a layer, and with what. */
static DWORD fits(const FWPM_FILTER_CONDITION0 *c, int six) {
	UINT32 type = c->conditionValue.type, match = c->matchType;
	const GUID *f = &c->fieldKey;
	int ok;
	if (IsEqualGUID(f, &PROTOCOL)) ok = type == FWP_UINT8;
	else if (IsEqualGUID(f, &LOCAL_PORT) || IsEqualGUID(f, &REMOTE_PORT)) ok = type == FWP_UINT16 || type == FWP_RANGE_TYPE;
	else if (IsEqualGUID(f, &REMOTE_ADDRESS) && six) ok = type == FWP_BYTE_ARRAY16_TYPE || type == FWP_V6_ADDR_MASK;
	else if (IsEqualGUID(f, &REMOTE_ADDRESS)) ok = type == FWP_UINT32 || type == FWP_V4_ADDR_MASK;
	else if (IsEqualGUID(f, &APP_ID)) ok = type == FWP_BYTE_BLOB_TYPE;
	else if (IsEqualGUID(f, &USER_ID)) ok = type == FWP_SECURITY_DESCRIPTOR_TYPE;
	else if (IsEqualGUID(f, &FLAGS)) ok = type == FWP_UINT32;
	else return FWP_E_CONDITION_NOT_FOUND;
	if (!ok) return FWP_E_TYPE_MISMATCH;
	if ((type == FWP_RANGE_TYPE) != (match == FWP_MATCH_RANGE)) return FWP_E_MATCH_TYPE_MISMATCH;
	if (match > FWP_MATCH_NOT_EQUAL) return FWP_E_MATCH_TYPE_MISMATCH;
	if ((match >= FWP_MATCH_FLAGS_ALL_SET && match <= FWP_MATCH_FLAGS_NONE_SET) != IsEqualGUID(f, &FLAGS)) return FWP_E_MATCH_TYPE_MISMATCH;
	return 0;
}

static DWORD addFilter(Session *s, const FWPM_FILTER0 *f, Filter **made) {
	State *w = s->work;
	if (!f->displayData.name) return FWP_E_NULL_DISPLAY_NAME;
	if (f->flags & ~KNOWN_FLAGS) return FWP_E_INVALID_FLAGS;
	if ((f->flags & PERSISTENT) && (f->flags & BOOTTIME)) return FWP_E_INVALID_FLAGS;
	if (s->dynamic && f->flags & (PERSISTENT | BOOTTIME)) return FWP_E_LIFETIME_MISMATCH;
	int six = IsEqualGUID(&f->layerKey, &CONNECT6) || IsEqualGUID(&f->layerKey, &ACCEPT6);
	int forward = IsEqualGUID(&f->layerKey, &FORWARD4) || IsEqualGUID(&f->layerKey, &FORWARD6);
	if (!six && !forward && !IsEqualGUID(&f->layerKey, &CONNECT4) && !IsEqualGUID(&f->layerKey, &ACCEPT4)) return FWP_E_LAYER_NOT_FOUND;
	/* Of what this file knows those layers have nothing: no remote side, port, program or user. */
	if (forward && f->numFilterConditions) return FWP_E_CONDITION_NOT_FOUND;
	int l = findSublayer(w, &f->subLayerKey);
	if (l < 0) return FWP_E_SUBLAYER_NOT_FOUND;
	int lasting = f->flags & (PERSISTENT | BOOTTIME);
	if (lasting && !(w->sublayer[l].flags & PERSISTENT)) return FWP_E_LIFETIME_MISMATCH;
	if (f->providerKey) {
		int p = findProvider(w, f->providerKey);
		if (p < 0) return FWP_E_PROVIDER_NOT_FOUND;
		if (lasting && !(w->provider[p].flags & PERSISTENT)) return FWP_E_LIFETIME_MISMATCH;
		/* A persistent object refers to none that another provider owns. */
		if (lasting && w->sublayer[l].owned && !IsEqualGUID(&w->sublayer[l].provider, f->providerKey)) return FWP_E_LIFETIME_MISMATCH;
	} else if (lasting && w->sublayer[l].owned) return FWP_E_LIFETIME_MISMATCH;
	if (f->action.type != FWP_ACTION_BLOCK && f->action.type != FWP_ACTION_PERMIT) return FWP_E_INVALID_ACTION_TYPE;
	if (f->weight.type != FWP_EMPTY && f->weight.type != FWP_UINT8 && f->weight.type != FWP_UINT64) return FWP_E_INVALID_WEIGHT;
	if (f->weight.type == FWP_UINT8 && f->weight.uint8 > 15) return FWP_E_INVALID_WEIGHT;
	if (f->reserved) return FWP_E_RESERVED;
	if (f->numFilterConditions && !f->filterCondition) return FWP_E_NULL_POINTER;
	if (f->numFilterConditions > CONDITIONS) return FWP_E_OUT_OF_BOUNDS;
	if (findFilter(w, &f->filterKey) >= 0) return FWP_E_ALREADY_EXISTS;
	if (w->filters == FILTERS) return ERROR_OUTOFMEMORY;
	Filter *n = &w->filter[w->filters];
	memset(n, 0, sizeof *n);
	n->key = f->filterKey;
	n->flags = f->flags;
	n->layer = f->layerKey;
	n->sublayer = f->subLayerKey;
	n->action = f->action.type;
	n->count = f->numFilterConditions;
	if (f->providerKey) n->owned = 1, n->provider = *f->providerKey;
	copy(n->name, f->displayData.name);
	DWORD code = keep(&n->weight, f->weight.type, (const FWP_CONDITION_VALUE0 *)&f->weight);
	for (UINT32 i = 0; !code && i < n->count; i++) {
		const FWPM_FILTER_CONDITION0 *c = &f->filterCondition[i];
		code = fits(c, six);
		n->conditions[i].field = c->fieldKey;
		n->conditions[i].match = c->matchType;
		if (!code) code = keep(&n->conditions[i].value, c->conditionValue.type, &c->conditionValue);
		for (UINT32 k = 0; !code && k < i; k++)
			if (!memcmp(&n->conditions[k], &n->conditions[i], sizeof n->conditions[i])) code = FWP_E_DUPLICATE_CONDITION;
	}
	if (code) return code;
	n->id = w->next++;
	w->filters++;
	*made = n;
	return 0;
}

static int hex(char *out, const Value *v) {
	int at = sprintf(out, "\"type\":%u,\"value\":\"", v->type);
	for (UINT32 i = 0; i < v->size; i++) at += sprintf(out + at, "%02x", v->data[i]);
	return at + sprintf(out + at, "\"");
}

static void sayFilter(const Filter *f) {
	char key[40], layer[40], sublayer[40], provider[40] = "", name[3 * TEXT];
	char *line = malloc(CONDITIONS * (2 * BYTES + 200) + 2000);
	if (f->owned) text(&f->provider, provider);
	int at = sprintf(line, "{\"call\":\"add filter\",\"code\":0,\"key\":\"%s\",\"name\":\"%s\",\"flags\":%u,\"provider\":\"%s\",\"layer\":\"%s\",\"sublayer\":\"%s\",\"action\":%u,\"weight\":{",
		text(&f->key, key), utf8(f->name, name, sizeof name), f->flags, provider, text(&f->layer, layer), text(&f->sublayer, sublayer), f->action);
	at += hex(line + at, &f->weight);
	at += sprintf(line + at, "},\"conditions\":[");
	for (UINT32 i = 0; i < f->count; i++) {
		at += sprintf(line + at, "%s{\"field\":\"%s\",\"match\":%u,", i ? "," : "", text(&f->conditions[i].field, key), f->conditions[i].match);
		at += hex(line + at, &f->conditions[i].value);
		at += sprintf(line + at, "}");
	}
	sprintf(line + at, "]}");
	say("%s", line);
	free(line);
}

EXPORT DWORD WINAPI FwpmFilterAdd0(HANDLE h, const FWPM_FILTER0 *f, PSECURITY_DESCRIPTOR sd, UINT64 *id) {
	Session *s = session(h);
	int single;
	Filter *made = NULL;
	DWORD code = writing(s, &single);
	if (code) return answer("add filter", code);
	code = f ? addFilter(s, f, &made) : FWP_E_NULL_POINTER;
	if (!code) {
		if (id) *id = made->id;
		note(s, FWPM_CHANGE_ADD, made);
		sayFilter(made);
	} else answer("add filter", code);
	return wrote(s, single, code);
}

static DWORD deleteFilter(Session *s, const GUID *key) {
	State *w = s->work;
	int i = findFilter(w, key);
	if (i < 0) return FWP_E_FILTER_NOT_FOUND;
	note(s, FWPM_CHANGE_DELETE, &w->filter[i]);
	memmove(&w->filter[i], &w->filter[i + 1], (w->filters - i - 1) * sizeof *w->filter);
	w->filters--;
	return 0;
}

static DWORD deleteSublayer(Session *s, const GUID *key) {
	State *w = s->work;
	int i = findSublayer(w, key);
	if (i < 0) return FWP_E_SUBLAYER_NOT_FOUND;
	for (UINT32 k = 0; k < w->filters; k++) if (IsEqualGUID(&w->filter[k].sublayer, key)) return FWP_E_IN_USE;
	memmove(&w->sublayer[i], &w->sublayer[i + 1], (w->sublayers - i - 1) * sizeof *w->sublayer);
	w->sublayers--;
	return 0;
}

static DWORD deleteProvider(Session *s, const GUID *key) {
	State *w = s->work;
	int i = findProvider(w, key);
	if (i < 0) return FWP_E_PROVIDER_NOT_FOUND;
	for (UINT32 k = 0; k < w->filters; k++) if (w->filter[k].owned && IsEqualGUID(&w->filter[k].provider, key)) return FWP_E_IN_USE;
	for (UINT32 k = 0; k < w->sublayers; k++) if (w->sublayer[k].owned && IsEqualGUID(&w->sublayer[k].provider, key)) return FWP_E_IN_USE;
	memmove(&w->provider[i], &w->provider[i + 1], (w->providers - i - 1) * sizeof *w->provider);
	w->providers--;
	return 0;
}

static DWORD removeBy(HANDLE h, const GUID *key, const char *call, DWORD (*act)(Session *, const GUID *)) {
	Session *s = session(h);
	int single;
	char k[40];
	DWORD code = key ? writing(s, &single) : FWP_E_NULL_POINTER;
	if (code) return answer(call, code);
	code = act(s, key);
	say("{\"call\":\"%s\",\"code\":%lu,\"key\":\"%s\"}", call, code, text(key, k));
	return wrote(s, single, code);
}

EXPORT DWORD WINAPI FwpmFilterDeleteByKey0(HANDLE h, const GUID *key) { return removeBy(h, key, "delete filter", deleteFilter); }
EXPORT DWORD WINAPI FwpmSubLayerDeleteByKey0(HANDLE h, const GUID *key) { return removeBy(h, key, "delete sublayer", deleteSublayer); }
EXPORT DWORD WINAPI FwpmProviderDeleteByKey0(HANDLE h, const GUID *key) { return removeBy(h, key, "delete provider", deleteProvider); }

/* Answers are one block each, built in two rounds: the first only counts. */
typedef struct { BYTE *base; size_t at; } Block;

static void *room(Block *b, size_t n) {
	size_t at = b->at;
	b->at += (n + 15) & ~(size_t)15;
	return b->base ? b->base + at : NULL;
}

static wchar_t *putText(Block *b, const wchar_t *w) {
	wchar_t *p = room(b, (wcslen(w) + 1) * sizeof *w);
	if (p) wcscpy(p, w);
	return p;
}

static void *putBytes(Block *b, const void *from, size_t n) {
	void *p = room(b, n);
	if (p) memcpy(p, from, n);
	return p;
}

static void putValue(Block *b, FWP_CONDITION_VALUE0 *out, const Value *v) {
	FWP_CONDITION_VALUE0 none;
	if (!out) out = &none;
	memset(out, 0, sizeof *out);
	out->type = v->type;
	UINT64 number;
	memcpy(&number, v->data, 8);
	switch (v->type) {
	case FWP_UINT8: out->uint8 = (UINT8)number; break;
	case FWP_UINT16: out->uint16 = (UINT16)number; break;
	case FWP_UINT32: out->uint32 = (UINT32)number; break;
	case FWP_UINT64: out->uint64 = putBytes(b, v->data, 8); break;
	case FWP_BYTE_ARRAY16_TYPE: out->byteArray16 = putBytes(b, v->data, 16); break;
	case FWP_BYTE_BLOB_TYPE:
	case FWP_SECURITY_DESCRIPTOR_TYPE: {
		FWP_BYTE_BLOB *blob = room(b, sizeof *blob);
		void *data = putBytes(b, v->data, v->size);
		if (blob) blob->size = v->size, blob->data = data;
		out->byteBlob = blob;
		break;
	}
	case FWP_V4_ADDR_MASK: out->v4AddrMask = putBytes(b, v->data, 8); break;
	case FWP_V6_ADDR_MASK: out->v6AddrMask = putBytes(b, v->data, 17); break;
	case FWP_RANGE_TYPE: {
		FWP_RANGE0 *r = room(b, sizeof *r);
		if (r) {
			memset(r, 0, sizeof *r);
			r->valueLow.type = r->valueHigh.type = FWP_UINT16;
			memcpy(&r->valueLow.uint16, v->data, 2);
			memcpy(&r->valueHigh.uint16, v->data + 2, 2);
		}
		out->rangeValue = r;
		break;
	}
	}
}

static FWPM_FILTER0 *putFilter(Block *b, const Filter *f) {
	FWPM_FILTER0 none, *out = room(b, sizeof *out), *to = out ? out : &none;
	memset(to, 0, sizeof *to);
	to->filterKey = f->key;
	to->displayData.name = putText(b, f->name);
	to->flags = f->flags | 0x40; /* FWPM_FILTER_FLAG_INDEXED, as the engine adds it */
	if (f->owned) to->providerKey = putBytes(b, &f->provider, sizeof f->provider);
	to->layerKey = f->layer;
	to->subLayerKey = f->sublayer;
	putValue(b, (FWP_CONDITION_VALUE0 *)&to->weight, &f->weight);
	to->numFilterConditions = f->count;
	FWPM_FILTER_CONDITION0 *cs = room(b, f->count * sizeof *cs);
	to->filterCondition = f->count ? cs : NULL;
	for (UINT32 i = 0; i < f->count; i++) {
		/* In another order than they came: nobody promised to keep it. */
		const Condition *c = &f->conditions[f->count - 1 - i];
		if (cs) cs[i].fieldKey = c->field, cs[i].matchType = c->match;
		putValue(b, cs ? &cs[i].conditionValue : NULL, &c->value);
	}
	to->action.type = f->action;
	to->filterId = f->id;
	UINT64 effective = 0;
	if (f->weight.type == FWP_UINT8) effective = (UINT64)f->weight.data[0] << 60 | f->count;
	to->effectiveWeight.type = FWP_UINT64;
	to->effectiveWeight.uint64 = putBytes(b, &effective, 8);
	return out;
}

static FWPM_SUBLAYER0 *putSublayer(Block *b, const Sublayer *l) {
	FWPM_SUBLAYER0 none, *out = room(b, sizeof *out), *to = out ? out : &none;
	memset(to, 0, sizeof *to);
	to->subLayerKey = l->key;
	to->displayData.name = putText(b, l->name);
	to->flags = l->flags;
	if (l->owned) to->providerKey = putBytes(b, &l->provider, sizeof l->provider);
	to->weight = l->weight;
	return out;
}

EXPORT DWORD WINAPI FwpmProviderGetByKey0(HANDLE h, const GUID *key, FWPM_PROVIDER0 **out) {
	Session *s = session(h);
	if (!s || !key || !out) return answer("get provider", s ? FWP_E_NULL_POINTER : ERROR_INVALID_HANDLE);
	int single;
	State *w = seen(s, &single);
	int i = findProvider(w, key);
	if (i >= 0) {
		Block b = {NULL, 0};
		for (int round = 0; round < 2; round++) {
			FWPM_PROVIDER0 none, *p = room(&b, sizeof *p), *to = p ? p : &none;
			memset(to, 0, sizeof *to);
			to->providerKey = *key;
			to->displayData.name = putText(&b, w->provider[i].name);
			to->flags = w->provider[i].flags;
			if (w->provider[i].service[0]) to->serviceName = putText(&b, w->provider[i].service);
			*out = p;
			if (!round) b.base = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, b.at), b.at = 0;
		}
	}
	if (single) free(w);
	return answer("get provider", i < 0 ? FWP_E_PROVIDER_NOT_FOUND : 0);
}

EXPORT DWORD WINAPI FwpmFilterGetByKey0(HANDLE h, const GUID *key, FWPM_FILTER0 **out) {
	Session *s = session(h);
	if (!s || !key || !out) return answer("get filter", s ? FWP_E_NULL_POINTER : ERROR_INVALID_HANDLE);
	int single;
	State *w = seen(s, &single);
	int i = findFilter(w, key);
	Block b = {NULL, 0};
	for (int round = 0; i >= 0 && round < 2; round++) {
		*out = putFilter(&b, &w->filter[i]);
		if (!round) b.base = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, b.at), b.at = 0;
	}
	if (single) free(w);
	return answer("get filter", i < 0 ? FWP_E_FILTER_NOT_FOUND : 0);
}

/* An enumeration is a copy of that moment. */
typedef struct { UINT32 magic, count, at; int filters; Filter *filter; Sublayer *sublayer; } Listing;
#define LISTING 0x4c495354

static DWORD begin(HANDLE h, HANDLE *out, int filters, const FWPM_FILTER_ENUM_TEMPLATE0 *t) {
	Session *s = session(h);
	if (!s || !out) return s ? FWP_E_NULL_POINTER : ERROR_INVALID_HANDLE;
	if (t && t->flags & ~0x1fu) return FWP_E_INVALID_FLAGS;
	char shy[8];
	shy[0] = 0;
	GetEnvironmentVariableA("HOZEN_FAKEBFE_SHY", shy, sizeof shy);
	int single;
	State *w = seen(s, &single);
	Listing *l = calloc(1, sizeof *l);
	l->magic = LISTING;
	l->filters = filters;
	l->filter = calloc(FILTERS, sizeof *l->filter);
	l->sublayer = calloc(SUBLAYERS, sizeof *l->sublayer);
	if (!filters) {
		l->count = w->sublayers;
		memcpy(l->sublayer, w->sublayer, w->sublayers * sizeof *w->sublayer);
	}
	for (UINT32 i = 0; filters && i < w->filters; i++) {
		const Filter *f = &w->filter[i];
		if (t && !IsEqualGUID(&t->layerKey, &f->layer)) continue;
		if (t && !(t->actionMask & f->action)) continue;
		if (f->flags & BOOTTIME && (shy[0] || !(t && t->flags & 0x0c))) continue;
		l->filter[l->count++] = *f;
	}
	if (single) free(w);
	*out = l;
	return 0;
}

static DWORD next(HANDLE e, UINT32 want, void ***entries, UINT32 *n, int filters) {
	Listing *l = e;
	if (!l || l->magic != LISTING || l->filters != filters) return FWP_E_INVALID_ENUMERATOR;
	UINT32 count = min(want, l->count - l->at);
	Block b = {NULL, 0};
	for (int round = 0; round < 2; round++) {
		void **list = room(&b, (count + 1) * sizeof *list);
		for (UINT32 i = 0; i < count; i++) {
			void *p = filters ? (void *)putFilter(&b, &l->filter[l->at + i]) : (void *)putSublayer(&b, &l->sublayer[l->at + i]);
			if (list) list[i] = p;
		}
		*entries = list;
		if (!round) b.base = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, b.at), b.at = 0;
	}
	l->at += count;
	*n = count;
	return 0;
}

static DWORD done(HANDLE e) {
	Listing *l = e;
	if (!l || l->magic != LISTING) return FWP_E_INVALID_ENUMERATOR;
	l->magic = 0;
	free(l->filter);
	free(l->sublayer);
	return 0;
}

EXPORT DWORD WINAPI FwpmFilterCreateEnumHandle0(HANDLE h, const FWPM_FILTER_ENUM_TEMPLATE0 *t, HANDLE *out) { return answer("list filters", begin(h, out, 1, t)); }
EXPORT DWORD WINAPI FwpmFilterEnum0(HANDLE h, HANDLE e, UINT32 want, FWPM_FILTER0 ***entries, UINT32 *n) { return next(e, want, (void ***)entries, n, 1); }
EXPORT DWORD WINAPI FwpmFilterDestroyEnumHandle0(HANDLE h, HANDLE e) { return done(e); }
EXPORT DWORD WINAPI FwpmSubLayerCreateEnumHandle0(HANDLE h, const FWPM_SUBLAYER_ENUM_TEMPLATE0 *t, HANDLE *out) { return answer("list sublayers", begin(h, out, 0, NULL)); }
EXPORT DWORD WINAPI FwpmSubLayerEnum0(HANDLE h, HANDLE e, UINT32 want, FWPM_SUBLAYER0 ***entries, UINT32 *n) { return next(e, want, (void ***)entries, n, 0); }
EXPORT DWORD WINAPI FwpmSubLayerDestroyEnumHandle0(HANDLE h, HANDLE e) { return done(e); }

EXPORT DWORD WINAPI FwpmGetAppIdFromFileName0(const wchar_t *name, FWP_BYTE_BLOB **out) {
	if (!name || !out) return answer("app id", FWP_E_NULL_POINTER);
	if (GetFileAttributesW(name) == INVALID_FILE_ATTRIBUTES) return answer("app id", ERROR_FILE_NOT_FOUND);
	wchar_t full[BYTES / 4] = L"\\device\\harddiskvolume1";
	size_t at = wcslen(full);
	GetFullPathNameW(name, BYTES / 4 - at, full + at, NULL);
	if (full[at] && full[at + 1] == L':') memmove(full + at, full + at + 2, (wcslen(full + at + 2) + 1) * sizeof *full);
	CharLowerW(full);
	UINT32 size = (wcslen(full) + 1) * sizeof *full;
	FWP_BYTE_BLOB *b = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, sizeof *b + size);
	b->size = size;
	b->data = (UINT8 *)(b + 1);
	memcpy(b->data, full, size);
	*out = b;
	return answer("app id", 0);
}

EXPORT void WINAPI FwpmFreeMemory0(void **p) {
	if (!p || !*p) return;
	HeapFree(GetProcessHeap(), 0, *p);
	*p = NULL;
}

/* A subscription reads what others published. */
typedef struct { Session *session; UINT32 flags; FWPM_FILTER_CHANGE_CALLBACK0 callback; void *context; HANDLE thread, stop; long from; } Subscription;

static DWORD WINAPI follow(void *arg) {
	Subscription *u = arg;
	char file[MAX_PATH];
	path(file, "changes");
	while (WaitForSingleObject(u->stop, 20) == WAIT_TIMEOUT) {
		FILE *f = fopen(file, "rb");
		Change c;
		if (!f) continue;
		fseek(f, u->from, SEEK_SET);
		while (fread(&c, sizeof c, 1, f) == 1) {
			u->from += sizeof c;
			FWPM_FILTER_CHANGE0 told = {c.type, c.key, c.id};
			if (c.by != u->session->id && u->flags & c.type) u->callback(u->context, &told);
		}
		fclose(f);
	}
	return 0;
}

EXPORT DWORD WINAPI FwpmFilterSubscribeChanges0(HANDLE h, const FWPM_FILTER_SUBSCRIPTION0 *conf, FWPM_FILTER_CHANGE_CALLBACK0 callback, void *context, HANDLE *out) {
	Session *s = session(h);
	if (!s) return answer("subscribe", ERROR_INVALID_HANDLE);
	if (!conf || !callback || !out) return answer("subscribe", FWP_E_NULL_POINTER);
	if (s->active) return answer("subscribe", FWP_E_TXN_IN_PROGRESS);
	if (!conf->flags || conf->flags & ~3u) return answer("subscribe", FWP_E_INVALID_FLAGS);
	char file[MAX_PATH];
	path(file, "changes");
	Subscription *u = calloc(1, sizeof *u);
	*u = (Subscription){s, conf->flags, callback, context};
	FILE *f = fopen(file, "rb");
	if (f) {
		fseek(f, 0, SEEK_END);
		u->from = ftell(f);
		fclose(f);
	}
	u->stop = CreateEventA(NULL, TRUE, FALSE, NULL);
	u->thread = CreateThread(NULL, 0, follow, u, 0, NULL);
	*out = u;
	return answer("subscribe", 0);
}

EXPORT DWORD WINAPI FwpmFilterUnsubscribeChanges0(HANDLE h, HANDLE subscription) {
	Subscription *u = subscription;
	if (!u) return answer("unsubscribe", FWP_E_NULL_POINTER);
	SetEvent(u->stop);
	WaitForSingleObject(u->thread, INFINITE);
	CloseHandle(u->thread);
	CloseHandle(u->stop);
	free(u);
	return answer("unsubscribe", 0);
}

BOOL WINAPI DllMain(HINSTANCE instance, DWORD why, LPVOID reserved) {
	if (why == DLL_PROCESS_ATTACH) InitializeCriticalSection(&guard);
	return TRUE;
}
