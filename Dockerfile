# The program with git, for `diff --git`:
#   docker run --rm --volume "$PWD:/work" cnnkit check
FROM rust:1-slim-bookworm AS build
WORKDIR /source
COPY . .
ARG CNNKIT_COMMIT=""
ENV CNNKIT_COMMIT=$CNNKIT_COMMIT
RUN cargo build --release --locked

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    # The folder belongs to the user outside; git reads it all the same.
    && git config --system --add safe.directory /work \
    && useradd --create-home cnnkit
COPY --from=build /source/target/release/cnnkit /usr/local/bin/cnnkit
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/cnnkit/
COPY crates/report/fonts/OFL.txt /usr/share/doc/cnnkit/LICENSE-FONT
USER cnnkit
WORKDIR /work
ENTRYPOINT ["cnnkit"]
