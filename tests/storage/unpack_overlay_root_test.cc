// Layers as containers see them: unpacked, fixed up, stacked by overlayfs, and compared with what
// the image specification says the stack is.
#include <fcntl.h>
#include <random>
#include <set>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <gtest/gtest.h>

#include "base/cleanup.h"
#include "storage/unpack/fix_up.h"
#include "tests/storage/unpack_support.h"

namespace storage_test {
namespace {

// path -> "d 0755 0:0", "f 0644 0:0 content", "l target"
using Tree = std::map<std::string, std::string>;

std::string describe_file(const fs::path& path) {
  const struct stat info = status_of(path);
  char head[64];
  std::snprintf(head, sizeof head, "%04o %u:%u", info.st_mode & 07777U, info.st_uid, info.st_gid);
  if (S_ISDIR(info.st_mode)) return std::string("d ") + head;
  if (S_ISREG(info.st_mode)) return std::string("f ") + head + " " + content(path);
  if (S_ISLNK(info.st_mode)) return "l " + fs::read_symlink(path).string();
  return "?";
}

Tree read_tree(const fs::path& root) {
  Tree tree = {{"", describe_file(root)}};
  for (const std::string& name : names_in(root)) tree[name] = describe_file(root / name);
  return tree;
}

class Overlay : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    // The temporary directory may lie on an overlay, whose whiteouts would vanish in it.
  }

  // Unpacks the layers, bottom first, as a pull does; returns the directories to mount.
  std::vector<fs::path> unpack_stack(const std::vector<Tar>& tars) {
    std::vector<fs::path> stack;  // topmost first
    for (const Tar& tar : tars) {
      const fs::path raw = make_dir();
      const auto result = unpack(raw, tar.end());
      const auto fix_ups = storage::find_fix_ups(raw, result.record, stack);
      copied_.push_back(!fix_ups.empty());
      if (fix_ups.empty()) {
        stack.insert(stack.begin(), raw);
        continue;
      }
      const fs::path copy = make_dir();
      storage::copy_with_fix_ups(raw, fix_ups, copy);
      stack.insert(stack.begin(), copy);
    }
    return stack;
  }

  Tree merged(const std::vector<Tar>& tars) {
    std::string option = "lowerdir=";
    layers_ = unpack_stack(tars);
    for (const fs::path& layer : layers_) option += layer.string() + ":";
    option += make_dir().string() + ",redirect_dir=nofollow,metacopy=off,index=off";
    const fs::path target = make_dir();
    if (mount("overlay", target.c_str(), "overlay", MS_RDONLY, option.c_str()) != 0) {
      ADD_FAILURE() << "mount overlay: " << strerror(errno);
      return {};
    }
    const base::Cleanup unmount([&] { umount2(target.c_str(), MNT_DETACH); });
    return read_tree(target);
  }

  fs::path make_dir() {
    const fs::path path = temp_.path() / std::to_string(next_++);
    fs::create_directory(path);
    fs::permissions(path, fs::perms(0755));
    return path;
  }

  TempDir temp_;
  int next_ = 0;
  std::vector<bool> copied_;
  std::vector<fs::path> layers_;  // of the last merged(), topmost first
};

TEST_F(Overlay, DeletesAndReplaces) {
  const Tree tree = merged({Tar()
                                .dir("./")
                                .dir("etc/")
                                .file("etc/a", "1")
                                .file("etc/b", "1")
                                .dir("opt/")
                                .file("opt/x", "1")
                                .dir("var/")
                                .file("var/x", "1"),
                            Tar()
                                .dir("./")
                                .dir("etc/")
                                .file("etc/.wh.a")
                                .dir("opt/")
                                .file("opt/.wh..wh..opq")
                                .file("opt/y", "2")
                                .file(".wh.var")
                                .dir("var/")
                                .file("var/z", "2")});
  EXPECT_EQ(tree, (Tree{{"", "d 0755 0:0"},
                        {"etc", "d 0755 0:0"},
                        {"etc/b", "f 0644 0:0 1"},
                        {"opt", "d 0755 0:0"},
                        {"opt/y", "f 0644 0:0 2"},
                        {"var", "d 0755 0:0"},
                        {"var/z", "f 0644 0:0 2"}}));
  EXPECT_EQ(copied_, (std::vector<bool>{false, false}));
}

TEST_F(Overlay, ImpliedParentsTakeTheAttributesOfThoseBelow) {
  TarItem home = {.type = '5', .name = "home/user/", .mode = 0700, .uid = 1000, .gid = 1000};
  home.pax = {{"SCHILY.xattr.user.note", "kept"}};
  TarItem other = {.type = '5', .name = "tmp/", .mode = 01777};
  const std::vector<Tar> tars = {
      Tar().add({.type = '5', .name = "./", .mode = 0711}).dir("home/").add(home).add(other),
      Tar().file("tmp/new/file", "2"), Tar().file("home/user/.profile", "3")};
  const Tree tree = merged(tars);
  EXPECT_EQ(tree.at(""), "d 0711 0:0");
  EXPECT_EQ(tree.at("home"), "d 0755 0:0");
  EXPECT_EQ(tree.at("home/user"), "d 0700 1000:1000");
  EXPECT_EQ(tree.at("tmp"), "d 1777 0:0");
  EXPECT_EQ(tree.at("tmp/new"), "d 0755 0:0");
  EXPECT_EQ(copied_, (std::vector<bool>{false, true, true}));
}

TEST_F(Overlay, ImpliedParentsKeepTheTimesOfThoseBelow) {
  const auto at = [](const char* name, std::uint64_t time) {
    TarItem item = {.type = '0', .name = name, .link = {}, .data = {}};
    if (item.name.ends_with('/')) item.type = '5', item.mode = 0755;
    item.mtime = time;
    return item;
  };
  const std::vector<fs::path> stack =
      unpack_stack({Tar()
                        .add(at("./", 1'500'000'000))
                        .add(at("a/", 1'600'000'000))
                        .add(at("a/b/", 1'650'000'000)),
                    Tar().add(at("a/b/x", 1'700'000'000)), Tar().add(at("y", 1'700'000'001))});
  EXPECT_EQ(copied_, (std::vector<bool>{false, true, false}));
  EXPECT_EQ(status_of(stack[1] / "a").st_mtim.tv_sec, 1'600'000'000);
  EXPECT_EQ(status_of(stack[1] / "a/b").st_mtim.tv_sec, 1'650'000'000);
  EXPECT_EQ(status_of(stack[1] / "a/b/x").st_mtim.tv_sec, 1'700'000'000);
}

TEST_F(Overlay, ImpliedParentsOverNothingKeepTheirOwnTimes) {
  const fs::path lower = make_dir(), layer = make_dir();
  unpack(lower, Tar().dir("./").dir("a/").end());
  TarItem file = {.type = '0', .name = "a/x", .data = {}};
  file.mtime = 1'600'000'000;
  auto record = unpack(layer, Tar().add(file).end()).record;
  const auto over = storage::find_fix_ups(layer, record, {lower});
  ASSERT_TRUE(over.only_times());
  ASSERT_FALSE(over.empty());
  record = storage::note_own_times(layer, record, over).value();
  EXPECT_FALSE(storage::note_own_times(layer, record, over)) << "only the first stack may";
  storage::set_times(layer, over);
  EXPECT_EQ(status_of(layer / "a").st_mtim.tv_sec, 1'700'000'000);
  EXPECT_TRUE(storage::find_fix_ups(layer, record, {lower}).empty());
  const fs::path copy = make_dir(), other = make_dir();
  unpack(other, Tar().dir("./").file("a", "no directory").end());
  storage::copy_with_fix_ups(layer, storage::find_fix_ups(layer, record, {other}), copy);
  EXPECT_EQ(status_of(copy / "a").st_mtim.tv_sec, 1'600'000'000);
}

TEST_F(Overlay, ImpliedParentsOverEqualOrNoDirectoriesStayShared) {
  merged({Tar().dir("./").dir("a/"), Tar().file("a/x"), Tar().file("b/c/x"),
          Tar().dir("d").file(".wh.d"), Tar().file("d/x")});
  EXPECT_EQ(copied_, (std::vector<bool>(5, false)));
}

TEST_F(Overlay, ImpliedParentsDoNotLookThroughWhiteoutsAndOpaqueDirectories) {
  const TarItem strict = {.type = '5', .name = "a/b/", .mode = 0700};
  const Tree tree = merged({Tar().dir("./").dir("a/").add(strict).dir("c/").add(
                                {.type = '5', .name = "c/d/", .mode = 0700}),
                            Tar().dir("./").file(".wh.a").dir("c/").file("c/.wh..wh..opq"),
                            Tar().dir("./").file("a/b/x").file("c/d/x")});
  EXPECT_EQ(tree.at("a/b"), "d 0755 0:0");
  EXPECT_EQ(tree.at("c/d"), "d 0755 0:0");
  EXPECT_EQ(copied_, (std::vector<bool>(3, false)));
}

TEST_F(Overlay, AnOpaqueMarkHidesWhatIsInADirectoryNotItsAttributes) {
  TarItem home = {.type = '5', .name = "home/", .mode = 0700, .uid = 1000, .gid = 1000};
  const Tree tree =
      merged({Tar().dir("./", 0711).add(home).file("home/old"), Tar().file("home/.wh..wh..opq")});
  EXPECT_EQ(tree, (Tree{{"", "d 0711 0:0"}, {"home", "d 0700 1000:1000"}}));
  const Tree root = merged({Tar().dir("./", 0711).file("old"), Tar().file(".wh..wh..opq")});
  EXPECT_EQ(root, (Tree{{"", "d 0711 0:0"}}));
}

TEST_F(Overlay, LinksToFilesOfLowerLayersBecomeCopies) {
  TarItem program = {.type = '0', .name = "bin/su", .data = "program", .mode = 04755, .uid = 7};
  const std::vector<Tar> tars = {Tar().dir("./").dir("bin/").add(program).symlink("bin/link", "su"),
                                 Tar()
                                     .dir("./")
                                     .hard_link("a", "bin/su")
                                     .hard_link("b", "/bin/su")
                                     .hard_link("c", "bin/link")};
  const Tree tree = merged(tars);
  EXPECT_EQ(tree.at("a"), "f 4755 7:0 program");
  EXPECT_EQ(tree.at("b"), "f 4755 7:0 program");
  EXPECT_EQ(tree.at("c"), "l su");
  const auto stack = unpack_stack(tars);
  EXPECT_EQ(status_of(stack[0] / "a").st_ino, status_of(stack[0] / "b").st_ino);
  EXPECT_NE(status_of(stack[0] / "a").st_ino, status_of(stack[1] / "bin/su").st_ino);
  EXPECT_EQ(status_of(stack[0]).st_mtim.tv_sec, 1'700'000'000);
}

TEST_F(Overlay, SetgidDirectoriesGiveNoGroupToCopies) {
  const TarItem shared = {.type = '5', .name = "shared/", .mode = 02775, .uid = 5, .gid = 50};
  const Tree tree =
      merged({Tar().dir("./").file("f", "1").symlink("l", "f").add({.type = '6', .name = "p"}),
              Tar()
                  .dir("./")
                  .add(shared)
                  .hard_link("shared/f", "f")
                  .hard_link("shared/l", "l")
                  .hard_link("shared/p", "p")});
  EXPECT_EQ(tree.at("shared"), "d 2775 5:50");
  EXPECT_EQ(tree.at("shared/f"), "f 0644 0:0 1");
  for (const char* name : {"shared/f", "shared/l", "shared/p"}) {
    EXPECT_EQ(status_of(layers_.front() / name).st_gid, 0U) << name;
  }
}

TEST_F(Overlay, ASetgidDirectoryOfTheStoreGivesNoGroup) {
  const fs::path raw = make_dir(), copy = make_dir();
  unpack(raw, Tar().dir("./").dir("d/").file("d/f").end());
  ASSERT_EQ(chown(copy.c_str(), 0, 50), 0);
  ASSERT_EQ(chmod(copy.c_str(), 02755), 0);
  storage::copy_with_fix_ups(raw, {}, copy);
  EXPECT_EQ(read_tree(copy), read_tree(raw));
}

TEST_F(Overlay, AnOpaqueRootHidesTheTargetsOfLinksToo) {
  const auto [kind, message] = error_of([&] {
    unpack_stack({Tar().file("low", "1"), Tar().file(".wh..wh..opq").hard_link("l", "low")});
  });
  EXPECT_EQ(kind, base::ErrorKind::kInvalid) << message;
}

TEST_F(Overlay, LinksToNothingAreRefused) {
  const std::vector<std::vector<Tar>> kStacks = {
      {Tar().hard_link("a", "b")},
      {Tar().file("b"), Tar().file(".wh.b"), Tar().hard_link("a", "b")},
      {Tar().dir("b"), Tar().hard_link("a", "b")},
      {Tar().file("d/b"), Tar().dir("d").file("d/.wh..wh..opq").hard_link("a", "d/b")},
  };
  for (const auto& tars : kStacks) {
    const auto [kind, text] = error_of([&] { unpack_stack(tars); });
    EXPECT_EQ(kind, base::ErrorKind::kInvalid);
    EXPECT_NE(text.find("neither in this layer nor below it"), std::string::npos) << text;
  }
}

TEST_F(Overlay, AnOpaqueRootHidesEverythingBelow) {
  const Tree tree = merged({Tar().dir("./").file("a", "1").dir("d/").file("d/old", "1").file("f"),
                            Tar().dir("./").file(".wh..wh..opq").dir("d/").file("d/new", "2")});
  EXPECT_EQ(tree, (Tree{{"", "d 0755 0:0"}, {"d", "d 0755 0:0"}, {"d/new", "f 0644 0:0 2"}}));
}

TEST_F(Overlay, ACopySharesFilesAndKeepsEverythingElse) {
  TarItem folder = {.type = '5', .name = "d/", .mode = 02750, .uid = 3, .gid = 4};
  folder.pax = {{"SCHILY.xattr.user.note", "kept"}};
  const fs::path raw = make_dir(), copy = make_dir();
  unpack(raw, Tar()
                  .dir("./", 0711)
                  .add(folder)
                  .file("d/f", "1")
                  .file("d/.wh.x")
                  .dir("o")
                  .file("o/.wh..wh..opq")
                  .symlink("l", "d")
                  .add({.type = '6', .name = "p"})
                  .end());
  storage::FixUps none;
  storage::copy_with_fix_ups(raw, none, copy);
  EXPECT_EQ(read_tree(copy), read_tree(raw));
  for (const char* name : {"d", "o", "."}) {
    EXPECT_EQ(status_of(copy / name).st_mtim.tv_sec, status_of(raw / name).st_mtim.tv_sec);
    EXPECT_NE(status_of(copy / name).st_ino, status_of(raw / name).st_ino);
  }
  for (const char* name : {"d/f", "d/x", "l", "p"}) {
    EXPECT_EQ(status_of(copy / name).st_ino, status_of(raw / name).st_ino);
  }
  char value[8];
  EXPECT_EQ(getxattr((copy / "d").c_str(), "user.note", value, sizeof value), 4);
  EXPECT_EQ(getxattr((copy / "o").c_str(), "trusted.overlay.opaque", value, sizeof value), 1);
}

TEST_F(Overlay, WhiteoutsOfNothingAreNotListed) {
  const Tree tree =
      merged({Tar().dir("./").file(".wh.x").dir("base/").file("base/.wh.x"),
              Tar().dir("./").dir("new/").file("new/.wh.x").dir("base/").file("base/.wh.y"),
              Tar().dir("./").dir("o").file("o/.wh..wh..opq").dir("o/p").file("o/p/.wh.x")});
  EXPECT_EQ(tree, (Tree{{"", "d 0755 0:0"},
                        {"base", "d 0755 0:0"},
                        {"new", "d 0755 0:0"},
                        {"o", "d 0755 0:0"},
                        {"o/p", "d 0755 0:0"}}));
  EXPECT_EQ(copied_, (std::vector<bool>{true, true, false}));
}

// The specification as a model: what a layer has, and what it deletes from below.
class Model {
 public:
  void apply(const std::vector<TarItem>& items) {
    std::map<std::string, TarItem> own;  // by path, parents before children
    std::set<std::string> deleted, opaque;
    for (const TarItem& item : items) {
      const auto [folder, name] = split(item.name);
      if (name == ".wh..wh..opq") {
        opaque.insert(folder);
      } else if (name.starts_with(".wh.")) {
        deleted.insert(folder.empty() ? name.substr(4) : folder + "/" + name.substr(4));
      } else {
        // What replaces a directory takes that directory's whiteouts with it.
        if (add(own, item)) {
          const auto is_below = [&](const std::string& path) {
            return path.starts_with(item.name + "/");
          };
          std::erase_if(deleted, is_below);
          std::erase_if(opaque, is_below);
          opaque.erase(item.name);
        }
      }
    }
    for (const std::string& path : deleted) erase_from(tree_, path, true);
    for (const std::string& path : opaque) erase_from(tree_, path, false);
    for (const auto& [path, item] : own) put(path, item);
  }
  const Tree& tree() const { return tree_; }

 private:
  static std::pair<std::string, std::string> split(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return {"", path};
    return {path.substr(0, slash), path.substr(slash + 1)};
  }
  template <class Map>
  static void erase_from(Map& map, const std::string& path, bool itself) {
    std::erase_if(map, [&](const auto& entry) {
      return (itself && entry.first == path) ||
             (entry.first.starts_with(path + "/") || (path.empty() && !entry.first.empty()));
    });
  }
  static bool add(std::map<std::string, TarItem>& own, const TarItem& item) {
    const auto old = own.find(item.name);
    const bool replaces = old != own.end() && (old->second.type != '5' || item.type != '5');
    if (replaces) erase_from(own, item.name, true);
    own[item.name] = item;
    return replaces;
  }
  void put(const std::string& path, const TarItem& item) {
    if (item.type != '5') {
      erase_from(tree_, path, true);
    } else if (const auto old = tree_.find(path); old != tree_.end() && old->second[0] != 'd') {
      tree_.erase(old);
    }
    char mode[16];
    std::snprintf(mode, sizeof mode, "%04o", item.mode);
    const std::string head = std::string(mode) + " 0:0";
    tree_[path] = item.type == '5'   ? "d " + head
                  : item.type == '2' ? "l " + item.link
                                     : "f " + head + " " + item.data;
  }
  Tree tree_ = {{"", "d 0755 0:0"}};
};

// Random stacks over few names, so that everything happens to everything. Parents have entries of
// their own.
class RandomLayers {
 public:
  explicit RandomLayers(unsigned seed) : random_(seed) {}

  std::vector<TarItem> layer() {
    std::vector<TarItem> items = {{.type = '5', .name = "./", .mode = 0755}};
    const int count = pick(12);
    for (int i = 0; i < count; ++i) add_below("", 0, items);
    return items;
  }

 private:
  int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

  void add_below(const std::string& folder, int depth, std::vector<TarItem>& items) {
    const std::string name(1, static_cast<char>('a' + pick(3)));
    const std::string path = folder.empty() ? name : folder + "/" + name;
    switch (pick(depth < 3 ? 7 : 4)) {
      case 0:
        items.push_back(
            {.type = '0', .name = path, .data = std::to_string(pick(100)), .mode = 0600});
        return;
      case 1:
        items.push_back({.type = '2', .name = path, .link = "nowhere", .mode = 0777});
        return;
      case 2:
        items.push_back(
            {.type = '0', .name = (folder.empty() ? "" : folder + "/") + ".wh." + name});
        return;
      case 3:
        if (!folder.empty()) items.push_back({.type = '0', .name = folder + "/.wh..wh..opq"});
        return;
      default:
        items.push_back(
            {.type = '5', .name = path, .mode = 0700U | static_cast<unsigned>(pick(8))});
        for (int i = pick(4); i > 0; --i) add_below(path, depth + 1, items);
    }
  }

  std::mt19937 random_;
};

TEST_F(Overlay, RandomStacksAreWhatTheSpecificationSays) {
  for (unsigned seed = 1; seed <= 400; ++seed) {
    RandomLayers random(seed);
    Model model;
    std::vector<Tar> tars;
    std::string story;
    for (int i = 0; i < 4; ++i) {
      const std::vector<TarItem> items = random.layer();
      Tar tar;
      story += "layer:\n";
      for (const TarItem& item : items) {
        tar.add(item);
        story += std::string("  ") + item.type + " " + item.name + "\n";
      }
      tars.push_back(tar);
      model.apply({items.begin() + 1, items.end()});
    }
    ASSERT_EQ(merged(tars), model.tree()) << "seed " << seed << "\n" << story;
  }
}

}  // namespace
}  // namespace storage_test
