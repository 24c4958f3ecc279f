using Veza.Domain;
using Veza.Domain.Orders;

namespace Veza.Host.Payments;

static class PaymentEndpoints
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/api/v1/payments", Pay).Needs(Role.Service);
        routes.MapPost("/api/v1/refunds", Refund).Needs(Role.Service);
        routes.MapGet("/api/v1/refunds/{id:guid}", GetRefund).Needs(Role.Read);
        routes.MapGet("/api/v1/refunds", ListRefunds).Needs(Role.Read);
    }

    static async Task<IResult> Pay(
        HttpContext context,
        PaymentService service,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadFields(cancellation);
        var order = fields.Id("order_id");
        var returnUrl = fields.TextOrNull("return_url", 2048);
        Addresses.Check(fields, "return_url", returnUrl ?? "", address => address.IsLoopback);
        fields.RefuseOthers();
        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        switch (await service.Pay(order, returnUrl, context.Caller().Actor, cancellation))
        {
            case PaymentAnswer.Open open:
                return Requests.Json(
                    new
                    {
                        payment_id = open.PaymentId,
                        client_secret = open.ClientSecret,
                        status = open.Status,
                    },
                    201
                );
            case PaymentAnswer.Refused refused:
                return Problem.Of(
                    422,
                    "provider_refused",
                    refused.Message,
                    more: [("provider_code", refused.Code), ("provider_message", refused.Message)]
                );
            case PaymentAnswer.NotPayable notPayable:
                return Problem.Of(
                    409,
                    "order_not_payable",
                    $"The order is {notPayable.OrderStatus}.",
                    more: ("order_status", notPayable.OrderStatus)
                );
            case PaymentAnswer.AnotherReturnUrl:
                return Problem.Of(
                    409,
                    "return_url_differs",
                    "The payment was made with another return_url, or without one, and keeps it. Ask without one, or "
                        + "with the same."
                );
            case PaymentAnswer.NoSuchOrder:
                return Problem.NotFound("order");
            default:
                context.Response.Headers.RetryAfter = "2";
                return Problem.Of(
                    503,
                    "provider_in_doubt",
                    "Hyperswitch has not answered. Asking again finds out and never makes a second payment."
                );
        }
    }

    static async Task<IResult> Refund(
        HttpContext context,
        RefundService service,
        ReadModels views,
        TimeProvider clock,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadFields(cancellation);
        var order = fields.Id("order_id");
        var reason = fields.TextOrNull("reason");
        var amount = fields.OptionalInteger("amount", 1, Minor.most);
        var lines = fields.OptionalIds("lines", 100);
        if (amount is not null && lines is not null)
        {
            fields.Fault("lines", "not_both", "give either amount or lines, not both.");
        }

        fields.RefuseOthers();
        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        var request =
            amount is { } minor ? RefundRequest.NewAmount(minor)
            : lines is not null ? RefundRequest.NewLines([.. lines.Select(LineId.Of)])
            : RefundRequest.AllThatIsLeft;
        var answer = await service.Refund(
            context.NewId(clock),
            order,
            request,
            reason,
            context.Caller().Actor,
            cancellation
        );
        return answer switch
        {
            RefundAnswer.Taken taken => Requests.Json(new { id = taken.Id, status = taken.Status }, 201),
            RefundAnswer.InDoubt doubt => Requests.Json(new { id = doubt.Id, status = "pending" }, 202),
            RefundAnswer.Refused refused => Problem.Of(
                422,
                "provider_refused",
                refused.Message,
                more:
                [
                    ("refund_id", refused.Id.ToString()),
                    ("provider_code", refused.Code),
                    ("provider_message", refused.Message),
                ]
            ),
            RefundAnswer.NotAllowed notAllowed => NotAllowed(
                notAllowed,
                amount is null ? "order_id" : "amount",
                await views.HeldByDisputes(order, cancellation)
            ),
            _ => Problem.NotFound("order"),
        };
    }

    /// <param name="field">What was sent that asks for too much.</param>
    /// <param name="held">What open disputes hold of the order.</param>
    static IResult NotAllowed(RefundAnswer.NotAllowed answer, string field, long held)
    {
        string Shown(long minor) => new Money(minor, answer.Currency).Display();
        IResult NotRefundable() =>
            Problem.Of(
                409,
                "order_not_refundable",
                $"The order is {answer.OrderStatus}; only what is paid can be refunded.",
                more: ("order_status", answer.OrderStatus)
            );
        IResult Exceeds(string field, string code, string detail, long left) =>
            Problem.Of(
                422,
                "refund_exceeds_remaining",
                detail,
                [new(field, code, detail)],
                ("remaining", left)
            );
        return answer.Why.Match(
            notPayable: NotRefundable,
            notPaid: NotRefundable,
            notCancellable: NotRefundable,
            notRefundable: NotRefundable,
            moreThanIsLeft: left =>
                held > 0
                    ? Exceeds(
                        field,
                        "held_by_dispute",
                        $"Only {Shown(left)} is left to refund while an open dispute holds {Shown(held)}.",
                        left
                    )
                : left == 0 ? Exceeds(field, "nothing_left", "Nothing is left to refund.", left)
                : Exceeds(field, "too_large", $"Only {Shown(left)} is left to refund.", left),
            moreThanSellersPart: (seller, asked, left) =>
                Exceeds(
                    "lines",
                    "exceeds_sellers_part",
                    $"These lines of seller '{seller}' are worth {Shown(asked)}, but only {Shown(left)} is left of what "
                        + "it sold.",
                    left
                ),
            nothingPaid: () =>
                Problem.Invalid([
                    new(
                        "lines",
                        "nothing_paid",
                        "nothing was paid for these lines, so nothing can be refunded."
                    ),
                ]),
            unknownLine: line =>
                Problem.Invalid([new("lines", "unknown_line", $"the order has no line {line.Value}.")]),
            lineAlreadyRefunded: line =>
                Exceeds("lines", "already_refunded", $"Line {line.Value} is refunded already.", 0)
        );
    }

    static async Task<IResult> GetRefund(Guid id, ReadModels views, CancellationToken cancellation) =>
        Requests.JsonOr404(await views.FindRefund(id, cancellation), "refund");

    static async Task<IResult> ListRefunds(
        HttpRequest request,
        ReadModels views,
        CancellationToken cancellation
    )
    {
        var query = new ListQuery(request);
        var status = query.OneOf("status", Statuses.Refund);
        var (order, after) = (query.Id("order_id"), query.AfterId);
        return query.Refusal()
            ?? (await views.ListRefunds(status, order, after, query.Limit, cancellation)).ToResult();
    }
}
