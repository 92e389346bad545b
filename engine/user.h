// ContainerUser: who the container's process is, from `--user` or USER and the image's passwd and
// group files; pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace engine {

struct UserFiles {  // contents; empty where the image has no such file
  std::string passwd, group;
};

struct ContainerUser {
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> additional_gids;  // the primary one first, as docker's
  std::string home = "/";
};

// `who` is "", "user", "user:group", "uid", "uid:gid", …. All digits are always a number, never
// looked up as a name (CVE-2024-40635); outside 0 … 2^31-1 they are refused. Throws kInvalid with
// docker's words.
ContainerUser plan_user(std::string_view who, const std::vector<std::string>& group_add,
                        const UserFiles& files);

}  // namespace engine
