package retail

import (
	"math/rand/v2"
	"strconv"
	"time"
)

// linesPerInvoice is how many neighbouring lines make one invoice.
const linesPerInvoice = 8

// Generate returns line n of an invented web shop, n from 0 on: always the same
// line for the same n. About 1.5 % of the lines are cancelled, with a negative
// quantity; of the others 0.3 % have no price and 0.1 % no positive quantity, so
// they break a rule of [Scorer]. A quarter have no customer. It may be called
// concurrently.
func Generate(n int) Line {
	invoice := n / linesPerInvoice
	// What the lines of one invoice have in common is drawn from its number.
	common := rand.New(rand.NewPCG(uint64(invoice), 0x696e766f696365))
	cancelled := chance(common, 15)
	guest := chance(common, 250)
	customer, country := account(common.IntN(4000))
	date := time.Date(2024, time.December, 2, 8, 0, 0, 0, time.UTC).Add(time.Duration(invoice) * 97 * time.Second)

	own := rand.New(rand.NewPCG(uint64(n), 0x6c696e65))
	p := pick(own)
	quantity := pack(own)
	line := Line{
		InvoiceNo:   strconv.Itoa(700001 + invoice),
		StockCode:   p.code,
		Description: p.name,
		InvoiceDate: date.Format(time.DateTime),
		UnitPrice:   p.price,
		CustomerID:  customer,
		Country:     country,
	}
	if guest {
		line.CustomerID = ""
	}
	switch fault := own.IntN(1000); {
	case cancelled:
		line.InvoiceNo = "C" + line.InvoiceNo
		quantity = -quantity
	case fault < 3:
		line.UnitPrice = "0.00"
		line.Description = "" // a correction of the stock
	case fault < 4:
		quantity = -quantity * own.IntN(2)
	}
	line.Quantity = strconv.Itoa(quantity)
	return line
}

func chance(r *rand.Rand, permille int) bool { return r.IntN(1000) < permille }

// pack is how many pieces a line orders: rarely a single one, mostly a pack.
func pack(r *rand.Rand) int {
	sizes := [...]int{1, 1, 1, 2, 2, 3, 4, 6, 6, 6, 8, 10, 12, 12, 12, 24, 25, 36, 48, 100}
	return sizes[r.IntN(len(sizes))]
}

// account is a customer's ID and country. Nine of ten are at home.
func account(n int) (id, country string) {
	abroad := [...]string{
		"Germany", "France", "EIRE", "Netherlands", "Spain", "Belgium", "Switzerland", "Portugal", "Australia", "Norway",
		"Italy", "Channel Islands", "Sweden", "Japan", "USA", "Singapore", "Israel", "Brazil", "RSA", "Unspecified",
	}
	country = "United Kingdom"
	if n%10 == 0 {
		country = abroad[n/10%len(abroad)]
	}
	return strconv.Itoa(20001 + n), country
}

type product struct{ code, name, price string }

// pick draws a product. Some are much more popular than others.
func pick(r *rand.Rand) product {
	products := [...]product{
		{"10101", "TEA TOWEL, HARBOUR GULLS", "3.25"},
		{"10102", "TEA TOWEL, ALLOTMENT ROWS", "3.25"},
		{"10115A", "ENAMEL MUG NAVY RIM", "4.95"},
		{"10115B", "ENAMEL MUG MOSS RIM", "4.95"},
		{"10230", "BEESWAX CANDLE PAIR", "2.45"},
		{"10231", "TEALIGHT TIN, 24 PIECES", "1.69"},
		{"10318", `PICTURE FRAME 8" X 10" OAK`, "7.50"},
		{"10319", `PICTURE FRAME 5" X 7" OAK`, "4.25"},
		{"10402", "PAPER LANTERN SUNFLOWER", "0.85"},
		{"10403", "PAPER LANTERN SNOWY OWL", "0.85"},
		{"10511C", "WICKER BASKET, LINED, LARGE", "12.75"},
		{"10511A", "WICKER BASKET, LINED, SMALL", "6.95"},
		{"10620", "BRASS DOORBELL FOX", "9.99"},
		{"10644", "GARDEN TWINE IN A TIN", "2.10"},
		{"10645", "SEED MARKERS SLATE, SET OF 12", "3.75"},
		{"10710", "CHALKBOARD TAGS, PACK OF 20", "1.25"},
		{"10711", `LABEL "HOMEMADE JAM", ROLL`, "0.42"},
		{"10712", `LABEL "DO NOT OPEN", ROLL`, "0.42"},
		{"10808", "WOOL BLANKET HERRINGBONE", "18.95"},
		{"10809", "HOT WATER BOTTLE CABLE KNIT", "5.95"},
		{"10901", "LUNCH BOX SPACE DOGS", "1.95"},
		{"10902", "LUNCH BOX TINY TRACTORS", "1.95"},
		{"10903", "DRINKS BOTTLE TINY TRACTORS", "2.95"},
		{"11004", "WOODEN TOP ASSORTED", "0.39"},
		{"11005", "TIN WHISTLE WITH SONGBOOK", "2.08"},
		{"11120", "KITCHEN SCALE CREAM 5KG", "14.95"},
		{"11121", "COOKIE CUTTER HEDGEHOG", "0.65"},
		{"11207", "NOTEBOOK CANAL BOATS A5", "2.55"},
		{"11208", "GREETING CARD, THANK YOU, BLANK", "0.19"},
		{"POST", "POSTAGE", "15.00"},
	}
	// The smaller of two draws: the first products sell best.
	return products[min(r.IntN(len(products)), r.IntN(len(products)))]
}
