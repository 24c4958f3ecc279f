global using Veza.Adapters.Http;
global using Veza.Adapters.Ports;
global using Veza.Adapters.Postgres;
global using Veza.Adapters.Postgres.Queries;
global using Veza.Adapters.Postgres.Queues;
global using Veza.Adapters.Postgres.Repositories;
