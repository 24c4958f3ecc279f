# The simulated Hyperswitch and Stripe, for trying Veza (or any Connect integration) without accounts anywhere.
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
ARG NUGET_FEED=
ENV NUGET_FEED=${NUGET_FEED} DOTNET_CLI_TELEMETRY_OPTOUT=1
WORKDIR /source
COPY . .
RUN dotnet fsi build.fsx -t Restore \
    && dotnet publish src/Veza.Sandbox -c Release -r linux-x64 --self-contained -p:PublishSingleFile=true -o /out

FROM mcr.microsoft.com/dotnet/runtime-deps:10.0
USER 1654
COPY --from=build /out/veza-sandbox /app/veza-sandbox
ENTRYPOINT ["/app/veza-sandbox", "providers"]
