// Unpack arguments: what a layer may take and whether blobs are kept, from the config file and
// flags of the commands that unpack.
#pragma once

#include <string>

#include "engine/image/layer_file.h"
#include "engine/image/puller.h"

namespace CLI {
class App;
}

namespace cli {

// "limits", "keep-blobs" and "allow-foreign-urls" of $SAMPAN_CONFIG, or else of
// /etc/sampan/config.json where it is there. Other keys are sampan's. Throws kInvalid.
void apply_unpack_config(engine::PullOptions& options);

// The same as it applies to layers that come from files.
engine::LayerFileOptions configured_layer_files();

// Flags of the same names, into `options`, which must live as long as `app`.
void define_unpack_arguments(CLI::App& app, engine::PullOptions& options);

}  // namespace cli
