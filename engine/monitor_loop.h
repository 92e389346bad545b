// MonitorLoop: carries a running container's streams between its log and its clients until it has
// ended.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "engine/health_probe.h"
#include "engine/log/log_writer.h"
#include "engine/monitor_client.h"
#include "engine/monitor_start.h"

namespace engine {

struct LoopHooks {
  std::function<void(bool pause)> set_paused;                    // may throw
  std::function<void(std::string_view payload)> change_network;  // may throw
  int service = -1;  // readable when on_service() has something to do; -1: none
  std::function<void()> on_service;
  std::function<void()> on_idle;  // when the container has run for a while
  std::function<void(const Health&, bool changed)> on_health;
};

// What a health check that fails leads to at last; else what became of a container by itself.
enum class AfterEnd { kAsItsRule, kStay, kRestart };
struct RunEnd {
  int code = 0;  // 128 + n for signal n
  AfterEnd then = AfterEnd::kAsItsRule;
  bool stopped = false;  // as a user wanted
};

// One loop for all runs of a container that is started again and again: whoever listens to it stays
// connected. One thread, one epoll. Output is read only while every client keeps up, so memory
// stays bounded and a container waits for its reader as it would for a pipe; its log is written
// first.
class MonitorLoop {
 public:
  MonitorLoop(LogWriter log, base::UniqueFd listener, LoopHooks hooks);
  ~MonitorLoop();

  // The command that started the container. `once`: the container's standard input ends with this
  // client's.
  enum class StdinOnce { kNo, kYes };
  MonitorClient& add_client(std::unique_ptr<MonitorClient> client, StdinOnce once);

  // Returns after all output is in the log and on its way. `probe`: none without a health check.
  RunEnd run(StartedContainer& container, std::unique_ptr<HealthProbe> probe);

  // Between two runs. False where the container is to stay as it is; `stopped` says by whose wish.
  bool wait(base::Nanoseconds duration, bool& stopped);

  void set_service(int fd);  // of the run that comes; -1: it has gone

  void send_exit(int code);  // and each client is let go once it has it
  void flush_clients();      // waits for clients that are still reading

 private:
  struct Source {
    int fd = -1;
    std::uint32_t events = 0;  // what epoll is told; 0: not watched
  };
  void begin(StartedContainer& container, std::unique_ptr<HealthProbe> probe);
  void step(int milliseconds);
  void watch(Source& source, int fd, std::uint32_t events);
  void update_interest();
  void dispatch(int fd, std::uint32_t events);
  void accept_client();
  void serve(MonitorClient& client);
  void handle(MonitorClient& client, const FrameReader::Frame& frame);
  void forget_closed_clients();
  void pause(MonitorClient& client, FrameType request);
  void let_go(const MonitorClient& client);  // of what it holds, if it does
  void stop(int signal);
  void check_health();
  void finish_check();
  void act_on_health();

  bool read_output(base::UniqueFd& fd, Stream stream);  // false: nothing there now
  void drain_output();
  void write_stdin();
  void close_stdin();
  void resize(std::string_view payload);
  void keep_terminal(base::UniqueFd master);
  bool drop_output(int fd);  // of a kept terminal; false: it is not one
  void handle_termination();
  void end_within(int signal, int seconds);
  int reap();
  int timeout() const;

  StartedContainer* container_ = nullptr;  // none between two runs
  std::unique_ptr<HealthProbe> probe_;
  LogWriter log_;
  base::UniqueFd epoll_, listener_, termination_, peer_;
  LoopHooks hooks_;
  std::vector<std::unique_ptr<MonitorClient>> clients_;
  std::vector<std::pair<MonitorClient*, Source>> client_sources_;
  // Terminals of processes that were executed and left: kept, so that they are not hung up, and
  // read, so that they never fill.
  std::vector<base::UniqueFd> terminals_;
  Source out_source_, err_source_, in_source_, listener_source_, exit_source_, signal_source_,
      service_source_, probe_source_, probe_output_source_;
  std::vector<const MonitorClient*> holders_;  // while there is one the container is frozen
  bool paused_ = false;                        // as the user asked for, whoever holds it
  MonitorClient* stdin_owner_ = nullptr;       // whose standard input the container's ends with
  std::string stdin_pending_;
  std::vector<std::pair<MonitorClient*, std::size_t>>
      stdin_debts_;  // whom to acknowledge, in order
  bool stdin_closing_ = false;
  bool ended_ = false;
  RunEnd end_;
  base::Nanoseconds began_at_ = 0;
  base::Nanoseconds idle_at_ = 0, kill_at_ = 0;  // monotonic; 0: never
};

}  // namespace engine
