# The simulated Hyperswitch and Stripe, for trying Veza (or any Connect integration) without accounts anywhere.
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
ARG NUGET_FEED=
ENV NUGET_FEED=${NUGET_FEED} DOTNET_CLI_TELEMETRY_OPTOUT=1
WORKDIR /source
COPY . .
RUN dotnet fsi build.fsx -t PublishSandbox

FROM mcr.microsoft.com/dotnet/runtime-deps:10.0
USER 1654
COPY --from=build /source/artifacts/veza-sandbox/veza-sandbox /app/veza-sandbox
EXPOSE 5090
# At all of the container's addresses: its loopback is reached by nobody else.
ENTRYPOINT ["/app/veza-sandbox", "providers", "--listen", "0.0.0.0"]
