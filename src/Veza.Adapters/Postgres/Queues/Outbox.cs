using Npgsql;

namespace Veza.Adapters.Postgres.Queues;

/// <summary>
/// The history of every step, and what endpoints are told of it, in the transaction of the change. Where nobody wants to
/// be told, the history is one plain insert.
/// </summary>
sealed class Outbox
{
    const string Steps = """
        insert into transitions (entity, entity_id, order_id, from_status, to_status, signal, detail, actor,
            provider_request_id, correlation, at)
        select c.*, $11 from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) as c
        """;

    /// <summary>An endpoint that is switched off wants it too: it hears of it when it is switched on again.</summary>
    const string Wants = "e.event_types && array[w.type, split_part(w.type, '.', 1) || '.*', '*']";

    static readonly string StepsTold = $"""
        with step as ({Steps} returning seq, entity, entity_id, from_status, to_status, at),
        changed as (
            select seq, entity, entity_id, at, entity || '.' || {JsonProjections.Shown("to_status")} as type
            from step where {JsonProjections.Shown("to_status")} is distinct from {JsonProjections.Shown(
            "from_status"
        )}),
        message as (
            insert into webhook_messages (seq, type, entity_id, body, created_at)
            select w.seq, w.type, w.entity_id, json_build_object('id', 'evt_' || w.seq, 'type', w.type,
                'sequence', w.seq, 'timestamp', w.at, 'data', case w.entity
                when 'order' then (select json_build_object({JsonProjections.Order}) from orders o where o.id = w.entity_id)
                when 'refund' then (select json_build_object({JsonProjections.Refund}) from refunds r where r.id = w.entity_id)
                when 'license' then
                    (select json_build_object({JsonProjections.License}) from licenses l where l.id = w.entity_id)
                when 'transfer' then (select json_build_object({JsonProjections.Transfer})
                    from seller_transfers t {JsonProjections.TransferSums} where t.id = w.entity_id)
                when 'payout' then (select json_build_object({JsonProjections.Payout}) from payouts p where p.id = w.entity_id)
                when 'dispute' then
                    (select json_build_object({JsonProjections.Dispute}) from disputes d where d.id = w.entity_id)
                when 'subscription' then
                    (select json_build_object({JsonProjections.Subscription}) from subscriptions s where s.id = w.entity_id)
                when 'deposit' then
                    (select json_build_object({JsonProjections.Deposit}) from deposits d where d.id = w.entity_id)
                end)::text, w.at
            from changed w where exists (select from webhook_endpoints e where {Wants})
            returning seq, type, created_at)
        insert into webhook_deliveries (endpoint_id, seq, state, due_at)
        select e.id, w.seq, case when e.enabled then 'pending' else 'held' end, case when e.enabled then w.created_at end
        from message w join webhook_endpoints e on {Wants}
        """;

    /// <summary>Whether there were endpoints when somebody last looked.</summary>
    volatile bool isListenedTo;

    /// <summary>Adds the statements to a batch that has the changes themselves before them.</summary>
    public Check Write(NpgsqlBatch batch, IReadOnlyList<Transition> transitions, DateTimeOffset now)
    {
        var told = isListenedTo;
        var command = new NpgsqlBatchCommand(told ? StepsTold : Steps);
        new Columns<Transition>(command, transitions)
            .Text(step => step.Entity)
            .Uuid(step => step.EntityId)
            .OptionalUuid(step => step.OrderId)
            .Text(step => step.From)
            .Text(step => step.To)
            .Text(step => step.Signal)
            .Text(step => step.Cause.Detail)
            .Text(step => step.Cause.Actor)
            .Text(step => step.Cause.ProviderRequestId)
            .Text(step => step.Cause.Correlation);
        command.Parameters.Add(Reading.At(now));
        batch.BatchCommands.Add(command);
        var look = new NpgsqlBatchCommand("select from webhook_endpoints limit 1");
        batch.BatchCommands.Add(look);
        return new Check(this, look, told);
    }

    /// <summary>Whether what was assumed of the endpoints was so.</summary>
    public sealed class Check(Outbox outbox, NpgsqlBatchCommand look, bool told)
    {
        /// <exception cref="ConcurrentChangeException">
        /// Somebody wants to be told of this who was not there the last time: it is decided and written again.
        /// </exception>
        public void Confirm()
        {
            outbox.isListenedTo = look.Rows > 0;
            if (outbox.isListenedTo && !told)
            {
                throw new ConcurrentChangeException("webhook endpoint");
            }
        }
    }
}
