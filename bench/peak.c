// peak PROGRAM [ARG...]: runs it and prints the most memory in KB that it, or a process that it waited for, had resident at a time.
// A program of its own because a process counts what it was before execve(2), too: under Python everything has 10 MB.
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc < 2) return 125;
  const pid_t child = fork();
  if (child < 0) return 125;
  if (child == 0) {
    execvp(argv[1], argv + 1);
    _exit(127);
  }
  int status = 0;
  struct rusage usage;
  if (wait4(child, &status, 0, &usage) != child || status != 0) return 1;
  printf("%ld\n", usage.ru_maxrss);
  return 0;
}
