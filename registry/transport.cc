#include "registry/transport.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <system_error>
#include <vector>

#include <curl/curl.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "registry/answer_reader.h"
#include "registry/diagnosis.h"
#include "registry/endpoint.h"
#include "registry/environment.h"

namespace registry {
namespace {

constexpr long kReceiveBufferBytes = 512L << 10U;
constexpr long kSlowestBytesPerSecond = 1024;
// A small answer that drips in just above that speed is given up after so many stall time-outs.
constexpr long kStallsPerSmallAnswer = 4;
// Once a body was sent, the registry may have to hash and store it before it says anything.
constexpr long kStallsPerUpload = 10;
constexpr long kSendBufferBytes = 512L << 10U;

using EasyHandle = base::CHandle<CURL, curl_easy_cleanup>;
using HeaderList = base::CHandle<curl_slist, curl_slist_free_all>;

template <class T>
void set_option(CURL* handle, CURLoption option, T value) {
  const CURLcode code = curl_easy_setopt(handle, option, value);
  if (code != CURLE_OK) {
    throw base::Error(base::ErrorKind::kSystem, "libcurl: option " + std::to_string(option) + ": " +
                                                    curl_easy_strerror(code));
  }
}

template <class T>
T info_of(CURL* handle, CURLINFO info) {
  T value = {};
  curl_easy_getinfo(handle, info, &value);
  return value;
}

// DNS answers and TLS sessions for all handles. Connections are not shared: libcurl does not
// support that across threads.
class Share {
 public:
  Share() : share_(curl_share_init()) {
    curl_share_setopt(share_.get(), CURLSHOPT_USERDATA, this);
    curl_share_setopt(share_.get(), CURLSHOPT_LOCKFUNC, &Share::lock);
    curl_share_setopt(share_.get(), CURLSHOPT_UNLOCKFUNC, &Share::unlock);
    curl_share_setopt(share_.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    curl_share_setopt(share_.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  }
  CURLSH* get() const { return share_.get(); }

 private:
  static void lock(CURL*, curl_lock_data data, curl_lock_access, void* self) {
    static_cast<Share*>(self)->mutexes_.at(data).lock();
  }
  static void unlock(CURL*, curl_lock_data data, void* self) {
    static_cast<Share*>(self)->mutexes_.at(data).unlock();
  }

  std::array<std::mutex, CURL_LOCK_DATA_LAST> mutexes_;
  base::CHandle<CURLSH, curl_share_cleanup> share_;
};

struct PooledHandle {
  EasyHandle handle;
  std::string origin;  // to which its youngest connection leads
};

// What libcurl's callbacks need. They run inside C frames, which an exception must not cross.
struct Exchange {
  AnswerReader* reader = nullptr;
  BodySource* body = nullptr;
  std::uint64_t sent = 0;  // bytes of `body`
  const Cancellation* cancellation = nullptr;
  std::exception_ptr error;
};

std::size_t on_header(char* data, std::size_t, std::size_t size, void* self) noexcept {
  auto& exchange = *static_cast<Exchange*>(self);
  try {
    return exchange.reader->take_header({data, size}) ? size : CURL_WRITEFUNC_ERROR;
  } catch (...) {
    exchange.error = std::current_exception();
    return CURL_WRITEFUNC_ERROR;
  }
}

std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) noexcept {
  auto& exchange = *static_cast<Exchange*>(self);
  try {
    return exchange.reader->take_body({data, size}) ? size : CURL_WRITEFUNC_ERROR;
  } catch (...) {
    exchange.error = std::current_exception();
    return CURL_WRITEFUNC_ERROR;
  }
}

std::size_t on_send(char* buffer, std::size_t, std::size_t size, void* self) noexcept {
  auto& exchange = *static_cast<Exchange*>(self);
  try {
    const std::size_t count = exchange.body->read(exchange.sent, buffer, size);
    exchange.sent += count;
    return count;
  } catch (...) {
    exchange.error = std::current_exception();
    return CURL_READFUNC_ABORT;
  }
}

// A connection that was kept for too long: libcurl takes a new one and sends from the start.
int on_seek(void* self, curl_off_t offset, int origin) noexcept {
  if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_FAIL;
  static_cast<Exchange*>(self)->sent = static_cast<std::uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept {
  return static_cast<Exchange*>(self)->cancellation->is_cancelled() ? 1 : 0;
}

void append_header(HeaderList& list, const std::string& line) {
  // A token from a server must not add header lines of its own.
  const bool is_clean = std::none_of(line.begin(), line.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  if (!is_clean) {
    throw base::Error(base::ErrorKind::kInvalid, "control character in a request header");
  }
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  static_cast<void>(list.release());
  list.reset(longer);
}

HeaderList render_headers(const Request& request) {
  HeaderList list;
  append_header(list, "Accept-Encoding: identity");  // digests and ranges are over these bytes
  append_header(list, "Expect:");
  for (const std::string& line : request.headers) append_header(list, line);
  for (const std::string& line : request.origin_headers) append_header(list, line);
  if (!request.authorization.empty()) {
    append_header(list, "Authorization: " + request.authorization);
  }
  return list;
}

bool is_upload(const Request& request) {
  return request.method == Method::kPut || request.method == Method::kPatch;
}

void set_proxy(CURL* handle, const Url& url) {
  if (reach_of(url.host) == Reach::kLoopback) {
    set_option(handle, CURLOPT_PROXY, "");  // none, as Go does
    return;
  }
  // libcurl reads the other variables itself. It leaves this one out because a web server sets it
  // from a request's "Proxy:" header; REQUEST_METHOD tells such a place.
  const char* upper = find_environment("HTTP_PROXY");
  if (!url.is_https() && upper != nullptr && find_environment("http_proxy") == nullptr &&
      find_environment("REQUEST_METHOD") == nullptr) {
    set_option(handle, CURLOPT_PROXY, upper);
  }
}

// Debian's store of certificates as one file for each, found by the hash of its subject
// (openssl-rehash(1)); empty where the system has none.
std::string find_certificate_folder() {
  const char* folder = "/etc/ssl/certs";
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".0") return folder;
  }
  return {};
}

void set_method(CURL* handle, const Request& request, Exchange& exchange) {
  switch (request.method) {
    case Method::kGet:
      return;
    case Method::kHead:
      return set_option(handle, CURLOPT_NOBODY, 1L);
    case Method::kDelete:
      return set_option(handle, CURLOPT_CUSTOMREQUEST, "DELETE");
    case Method::kPost:
      set_option(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.form.size()));
      return set_option(handle, CURLOPT_POSTFIELDS, request.form.data());
    case Method::kPut:
    case Method::kPatch:
      break;
  }
  const auto size = request.body == nullptr ? 0 : static_cast<curl_off_t>(request.body->size());
  set_option(handle, CURLOPT_UPLOAD, 1L);
  set_option(handle, CURLOPT_INFILESIZE_LARGE, size);
  set_option(handle, CURLOPT_UPLOAD_BUFFERSIZE, kSendBufferBytes);
  set_option(handle, CURLOPT_READFUNCTION, &on_send);
  set_option(handle, CURLOPT_READDATA, &exchange);
  set_option(handle, CURLOPT_SEEKFUNCTION, &on_seek);
  set_option(handle, CURLOPT_SEEKDATA, &exchange);
  if (request.method == Method::kPatch) set_option(handle, CURLOPT_CUSTOMREQUEST, "PATCH");
}

void set_certificates(CURL* handle, const char* file, const char* folder) {
  set_option(handle, CURLOPT_CAINFO, file);
  set_option(handle, CURLOPT_CAPATH, folder);
}

void set_blob(CURL* handle, CURLoption option, const std::string& bytes) {
  curl_blob blob = {};
  blob.data = const_cast<char*>(bytes.data());  // copied
  blob.len = bytes.size();
  blob.flags = CURL_BLOB_COPY;
  set_option(handle, option, &blob);
}

// Beside the system's. A blob takes the place of libcurl's file, so the file is read here.
void add_authorities(CURL* handle, const std::vector<std::string>& authorities,
                     const char* system_file) {
  constexpr std::size_t kMaxBundleBytes = 16U << 20U;
  const char* bundle = system_file != nullptr ? system_file : "/etc/ssl/certs/ca-certificates.crt";
  std::string text;
  for (const std::string& authority : authorities) text += authority + "\n";
  text += base::find_file(bundle, kMaxBundleBytes).value_or("");
  set_option<const char*>(handle, CURLOPT_CAINFO, nullptr);
  set_option<const char*>(handle, CURLOPT_CAPATH, nullptr);
  set_blob(handle, CURLOPT_CAINFO_BLOB, text);
}

TransferFailure facts_of(CURL* handle, CURLcode code, const char* detail) {
  const bool is_new = info_of<long>(handle, CURLINFO_NUM_CONNECTS) > 0;
  return {.code = code,
          .detail = *detail != '\0' ? detail : curl_easy_strerror(code),
          .os_errno = static_cast<int>(info_of<long>(handle, CURLINFO_OS_ERRNO)),
          .is_connected = !is_new || info_of<curl_off_t>(handle, CURLINFO_CONNECT_TIME_T) > 0,
          .has_tls = !is_new || info_of<curl_off_t>(handle, CURLINFO_APPCONNECT_TIME_T) > 0};
}

}  // namespace

struct Transport::State {
  State(TransportOptions transport_options, const InsecureHosts& insecure_hosts,
        const Cancellation& cancel)
      : options(std::move(transport_options)),
        insecure(insecure_hosts),
        cancellation(cancel),
        certificate_folder(find_certificate_folder()),
        uses_folder(!certificate_folder.empty()) {}

  PooledHandle borrow(const std::string& origin);
  void give_back(PooledHandle handle);
  void configure(CURL* handle, const Request& request, Exchange& exchange, curl_slist* headers);
  void set_trust(CURL* handle, const Request& request) const;
  Response exchange(const Request& request, BodyReceiver* receiver);

  TransportOptions options;
  const InsecureHosts& insecure;
  const Cancellation& cancellation;
  const std::string certificate_folder;
  std::atomic<bool> uses_folder;
  Share share;  // handles refer to it
  std::mutex mutex;
  std::vector<PooledHandle> idle;
};

PooledHandle Transport::State::borrow(const std::string& origin) {
  {
    const std::lock_guard lock(mutex);
    auto found = std::find_if(idle.rbegin(), idle.rend(),
                              [&](const PooledHandle& handle) { return handle.origin == origin; });
    if (found == idle.rend() && !idle.empty()) found = idle.rbegin();
    if (found != idle.rend()) {
      PooledHandle handle = std::move(*found);
      idle.erase(std::next(found).base());
      handle.origin = origin;
      return handle;
    }
  }
  PooledHandle handle{.handle = EasyHandle(curl_easy_init()), .origin = origin};
  if (!handle.handle) throw std::bad_alloc();
  return handle;
}

void Transport::State::give_back(PooledHandle handle) {
  // Options only, connections stay. Now rather than before the next use: they point to the stack.
  curl_easy_reset(handle.handle.get());
  const std::lock_guard lock(mutex);
  idle.push_back(std::move(handle));
}

void Transport::State::configure(CURL* handle, const Request& request, Exchange& exchange,
                                 curl_slist* headers) {
  set_option(handle, CURLOPT_URL, request.url.str().c_str());
  set_option(handle, CURLOPT_PATH_AS_IS, 1L);
  set_option(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  set_option(handle, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);  // a connection for each thread
  set_option(handle, CURLOPT_FOLLOWLOCATION, 0L);
  set_option(handle, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  set_option(handle, CURLOPT_HTTPHEADER, headers);
  set_option(handle, CURLOPT_HEADEROPT, CURLHEADER_SEPARATE);  // none of ours to a proxy
  set_option(handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set_option(handle, CURLOPT_USERAGENT, options.user_agent.c_str());
  set_option(handle, CURLOPT_SHARE, share.get());
  set_option(handle, CURLOPT_NOSIGNAL, 1L);
  set_option(handle, CURLOPT_TCP_KEEPALIVE, 1L);
  set_option(handle, CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  const int connect_timeout_ms =
      request.connect_timeout_ms > 0 ? request.connect_timeout_ms : options.connect_timeout_ms;
  set_option(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(connect_timeout_ms));
  set_option(handle, CURLOPT_LOW_SPEED_LIMIT, kSlowestBytesPerSecond);
  const long stalls = is_upload(request) ? kStallsPerUpload : 1;
  set_option(handle, CURLOPT_LOW_SPEED_TIME, options.stall_timeout_s * stalls);
  set_method(handle, request, exchange);
  set_proxy(handle, request.url);
  set_trust(handle, request);
  set_option(handle, CURLOPT_HEADERFUNCTION, &on_header);
  set_option(handle, CURLOPT_HEADERDATA, &exchange);
  set_option(handle, CURLOPT_WRITEFUNCTION, &on_body);
  set_option(handle, CURLOPT_WRITEDATA, &exchange);
  set_option(handle, CURLOPT_NOPROGRESS, 0L);
  set_option(handle, CURLOPT_XFERINFOFUNCTION, &on_progress);
  set_option(handle, CURLOPT_XFERINFODATA, &exchange);
}

void Transport::State::set_trust(CURL* handle, const Request& request) const {
  const Url& url = request.url;
  if (!url.is_https()) return;
  const TlsSettings* tls = request.tls;
  if (tls != nullptr && !tls->clients.empty() && url.host == request.client_host) {
    set_blob(handle, CURLOPT_SSLCERT_BLOB, tls->clients.front().certificate);
    set_blob(handle, CURLOPT_SSLKEY_BLOB, tls->clients.front().key);
  }
  // Who names an authority for a server wants it to be checked, on loopback, too.
  const bool has_authority = tls != nullptr && !tls->authorities.empty();
  const bool is_insecure = (tls != nullptr && tls->skip_verify) ||
                           (has_authority ? insecure.is_listed(url) : insecure.contains(url));
  const char* file =
      options.ca_file.empty() ? find_environment("SSL_CERT_FILE") : options.ca_file.c_str();
  const char* folder = find_environment("SSL_CERT_DIR");
  if (is_insecure) {
    set_option(handle, CURLOPT_SSL_VERIFYPEER, 0L);
    set_option(handle, CURLOPT_SSL_VERIFYHOST, 0L);
    set_certificates(handle, nullptr, nullptr);  // else they would be loaded all the same
  } else if (file != nullptr || folder != nullptr) {
    set_certificates(handle, file, folder);
  } else if (uses_folder) {
    // Loading the bundle of all certificates takes 100 ms for each connection's handle.
    set_certificates(handle, nullptr, certificate_folder.c_str());
  }
  if (has_authority && !is_insecure) add_authorities(handle, tls->authorities, file);
}

Response Transport::State::exchange(const Request& request, BodyReceiver* receiver) {
  cancellation.throw_if_cancelled();
  char detail[CURL_ERROR_SIZE] = "";
  AnswerReader reader(request, receiver);
  Exchange exchange{.reader = &reader,
                    .body = request.body,
                    .sent = 0,
                    .cancellation = &cancellation,
                    .error = {}};
  const HeaderList headers = render_headers(request);
  PooledHandle pooled = borrow(request.url.scheme + "://" + request.url.authority());
  CURL* handle = pooled.handle.get();
  configure(handle, request, exchange, headers.get());
  set_option(handle, CURLOPT_ERRORBUFFER, detail);
  if (receiver == nullptr && !is_upload(request)) {
    set_option(handle, CURLOPT_TIMEOUT, options.stall_timeout_s * kStallsPerSmallAnswer);
  }
  const CURLcode code = curl_easy_perform(handle);
  if (exchange.error) std::rethrow_exception(exchange.error);
  cancellation.throw_if_cancelled();
  if (code != CURLE_OK && !reader.has_ended_itself()) {
    reader.fail(diagnose(facts_of(handle, code, detail), request.url));
  }
  give_back(std::move(pooled));
  return reader.take_response();
}

Transport::Transport(TransportOptions options, const InsecureHosts& insecure,
                     const Cancellation& cancellation) {
  curl_global_init(CURL_GLOBAL_DEFAULT);  // counts its calls; thread-safe since 7.84
  state_ = std::make_unique<State>(std::move(options), insecure, cancellation);
}

Transport::~Transport() {
  state_.reset();
  curl_global_cleanup();
}

Response Transport::exchange(const Request& request, BodyReceiver* receiver) {
  const bool used_folder = state_->uses_folder;
  Response response = state_->exchange(request, receiver);
  if (response.failure != Failure::kCertificate || !used_folder) return response;
  // A certificate that somebody added to the bundle only. Nothing of the request was sent so far.
  state_->uses_folder = false;
  return state_->exchange(request, receiver);
}

}  // namespace registry
