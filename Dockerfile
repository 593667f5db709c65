# Muster alone; Postgres is another container's, named by DATABASE_URL.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN SQLX_OFFLINE=true cargo build --locked --release

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/muster --create-home muster
COPY --from=build /src/target/release/muster /usr/local/bin/muster
COPY runbooks /etc/muster/runbooks
USER muster
ENV MUSTER_LISTEN=0.0.0.0:8080 MUSTER_RUNBOOKS=/etc/muster/runbooks MUSTER_DATA=/var/lib/muster
EXPOSE 8080
ENTRYPOINT ["muster"]
CMD ["serve"]
