// hold_lock FILE: waits for a lock of the file and keeps it for ever; "hold_lock FILE try": only
// tells whether it may be had.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

int main(int count, char** words) {
  if (count < 2) return 2;
  const int fd = open(words[1], O_RDWR | O_CREAT, 0644);
  if (fd < 0) return 2;
  if (flock(fd, count == 2 ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) return 1;
  while (count == 2) pause();
}
